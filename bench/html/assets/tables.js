// Sorting: ascending, descending, as at first.
{
  const ORDERS = { none: "ascending", ascending: "descending", descending: "none" };
  const words = new Intl.Collator(undefined, { numeric: true });

  const keyOf = (row, column) => {
    const cell = row.cells[column];
    if ("sort" in cell.dataset) return Number(cell.dataset.sort);
    const text = cell.textContent.trim();
    return text === "–" ? null : text;
  };

  // Numbers come before texts, and what is unknown comes last in both directions.
  const compare = (one, other, direction) => {
    if (one === null || other === null) return (one === null) - (other === null);
    if (typeof one !== typeof other) return typeof one === "number" ? -1 : 1;
    return direction * (typeof one === "number" ? one - other : words.compare(one, other));
  };

  const sort = (table, rows, column, order) => {
    const direction = order === "descending" ? -1 : 1;
    const sorted = order === "none" ? rows : rows
      .map((row) => [keyOf(row, column), row])
      .sort(([one], [other]) => compare(one, other, direction))
      .map(([, row]) => row);
    table.tBodies[0].append(...sorted);
  };

  for (const table of document.querySelectorAll(".table table")) {
    const rows = [...table.tBodies[0].rows];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const order = ORDERS[head.ariaSort ?? "none"];
        for (const other of heads) other.ariaSort = "none";
        head.ariaSort = order;
        sort(table, rows, column, order);
      });
    });
  }
}

// Filtering: rows that hold every word.
for (const input of document.querySelectorAll('.table input[type="search"]')) {
  const box = input.closest(".table");
  const rows = [...box.querySelectorAll("tbody tr")];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  input.addEventListener("input", () => {
    const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    rows.forEach((row, number) => {
      row.hidden = !wanted.every((word) => texts[number].includes(word));
    });
    const count = rows.filter((row) => !row.hidden).length;
    box.querySelector(".shown").textContent = wanted.length ? `${count} of ${rows.length}` : "";
  });
}
