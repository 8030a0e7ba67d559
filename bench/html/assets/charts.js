// The first charts are drawn at once, the others when they come near the window or in idle time;
// all are drawn again when their width changes.
"use strict";
{
  const FIRST = 3;
  const AHEAD = "600px";
  const config = JSON.parse(document.getElementById("chart-config").textContent);
  const drawn = new Map();  // plot: { width, view }

  function tooltip(_handler, event, _item, value) {
    if (value === null || value === undefined || value === "") return hideTip();
    showTip(typeof value === "object" ? pairs(value) : document.createTextNode(value),
      event.clientX, event.clientY);
  }

  function pairs(values) {
    const list = document.createElement("dl");
    for (const [name, value] of Object.entries(values)) {
      const term = document.createElement("dt");
      const figure = document.createElement("dd");
      term.textContent = name;
      figure.textContent = value;
      list.append(term, figure);
    }
    return list;
  }

  function specOf(plot, width) {
    const spec = JSON.parse(plot.parentElement.querySelector('script[type="application/json"]').textContent);
    const autosize = { type: "fit-x", contains: "padding" };
    const { from, height } = spec.usermeta?.wide ?? {};
    const complete = { autosize, ...spec, width, height: width >= from ? height : spec.height };
    for (const select of zoomable(complete)) select.zoom = "wheel![event.ctrlKey || event.metaKey]";
    return complete;
  }

  async function draw(plot) {
    const width = Math.floor(plot.clientWidth);
    const before = drawn.get(plot);
    if (!width || before?.width === width) return;
    drawn.set(plot, { width, view: null });
    before?.view?.finalize();
    try {
      const spec = specOf(plot, width);
      const options = { mode: "vega-lite", renderer: "svg", ast: true, actions: false,
        defaultStyle: false, config, tooltip };
      const inner = document.createElement("div");  // Vega gives its element a role of its own
      plot.replaceChildren(inner);
      const { view, vgSpec } = await vegaEmbed(inner, spec, options);
      if (drawn.get(plot).width !== width) return void view.finalize();  // drawn again meanwhile
      drawn.set(plot, { width, view });
      plot.style.minHeight = "";
      addZoom(plot, view, vgSpec);
    } catch (error) {
      console.error(error);
      fail(plot);
    }
  }

  function fail(plot) {
    const text = document.createElement("p");
    text.className = "failed";
    text.textContent = "This chart could not be drawn; the table below has its figures.";
    plot.replaceChildren(text);
    plot.style.minHeight = "";
  }

  const plots = [...document.querySelectorAll(".plot")];
  const near = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) if (isIntersecting) draw(target);
  }, { rootMargin: AHEAD });

  const visible = () => plots.filter((plot) => !plot.closest("details:not([open])"));
  const idle = window.requestIdleCallback ?? ((work) => setTimeout(work, 100));
  const drawRest = () => {
    const next = visible().find((plot) => !drawn.has(plot));
    if (next) idle(() => draw(next).then(drawRest));
  };
  visible().slice(0, FIRST).forEach(draw);

  const watch = () => plots.forEach((plot) => { near.unobserve(plot); near.observe(plot); });
  let pause;
  addEventListener("resize", () => { clearTimeout(pause); pause = setTimeout(watch, 150); });
  addEventListener("load", () => { watch(); drawRest(); });
  // On paper, all that are open. They need no time of their own: what they wait for is in the page.
  addEventListener("beforeprint", () => {
    document.documentElement.classList.add("printing");
    visible().forEach(draw);
  });
  addEventListener("afterprint", () => {
    document.documentElement.classList.remove("printing");
    watch();
  });
}
