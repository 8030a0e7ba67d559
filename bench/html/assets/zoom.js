// Zooming of charts with a selection that is bound to scales, as a chart with a time axis has.
const STEP = 2;  // times nearer
const SHIFT = 0.25;  // of the range in view

function zoomable(spec) {
  const views = [spec, ...(spec.layer ?? [])];
  const params = views.flatMap((view) => view.params ?? []);
  return params.filter((param) => param.bind === "scales").map((param) => param.select);
}

// The signal with the range in view; null shows everything.
function rangeSignal(vgSpec) {
  const fields = vgSpec.signals?.find((signal) => signal.name.endsWith("_tuple_fields"));
  const axis = fields?.value?.find((field) => field.channel === "x");
  return axis && fields.name.replace("_tuple_fields", `_${axis.field}`);
}

function within([low, high], [first, last]) {
  const length = Math.min(high - low, last - first);
  const begin = Math.min(Math.max(low, first), last - length);
  return length >= last - first ? null : [begin, begin + length];
}

function addZoom(plot, view, vgSpec) {
  const signal = rangeSignal(vgSpec);
  plot.nextElementSibling?.matches(".zoom") && plot.nextElementSibling.remove();
  if (!signal) return;
  const full = view.scale("x").domain();
  const show = (range) => view.signal(signal, within(range, full)).runAsync();
  const inView = () => view.signal(signal) ?? full;
  view.addSignalListener(signal, (_name, range) => {
    const kept = range && within(range, full);
    const isKept = !kept || (Math.abs(kept[0] - range[0]) + Math.abs(kept[1] - range[1])) < 1e-9;
    if (range && !isKept) view.runAfter(() => show(range));
  });
  plot.classList.add("zoomable");
  plot.after(zoomButtons(inView, show, full));
}

function zoomButtons(inView, show, full) {
  const scaled = (factor) => () => {
    const [low, high] = inView();
    const [middle, half] = [(low + high) / 2, ((high - low) / 2) * factor];
    show([middle - half, middle + half]);
  };
  const shifted = (direction) => () => {
    const [low, high] = inView();
    const way = direction * SHIFT * (high - low);
    show([low + way, high + way]);
  };
  const box = document.createElement("div");
  box.className = "zoom";
  box.role = "group";
  box.ariaLabel = "Zoom";
  const actions = { "Zoom in": scaled(1 / STEP), "Zoom out": scaled(STEP), Earlier: shifted(-1),
    Later: shifted(1), "Show all": () => show(full) };
  for (const [name, action] of Object.entries(actions)) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", action);
    box.append(button);
  }
  const hint = document.createElement("span");
  hint.textContent = "or Ctrl + scroll; drag to move, double-click to show all";
  box.append(hint);
  return box;
}
