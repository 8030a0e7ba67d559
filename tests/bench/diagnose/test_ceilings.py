"""Only blocks whose cache state is proven count."""

from feedbench.bench.diagnose.ceilings import ceilings


def test_a_block_without_a_proven_cache_state_is_discarded(make_record):
    record = make_record()
    index = next(index for index, part in enumerate(record.parts) if part.name == "loader")
    part = record.parts[index]
    *proven, last = part.blocks
    from_disk = {"disk_read_bytes": last.consumed_bytes, "images": last.images * 10}
    part = part.model_copy(update={"blocks": [*proven, last.model_copy(update=from_disk)]})
    parts = [*record.parts[:index], part, *record.parts[index + 1 :]]
    record = record.model_copy(update={"parts": parts})
    (ceiling,) = [ceiling for ceiling in ceilings(record) if ceiling.name == "loader"]
    assert ceiling.blocks == 2
    assert len(ceiling.unproven) == 1
    assert ceiling.unproven[0].startswith("not warm: 100% of the bytes")
    assert ceiling.images_per_second.high <= 400
