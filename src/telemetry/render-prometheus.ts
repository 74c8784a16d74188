import { Histogram, type Counter, type Gauge, type MetricFamily, type MetricsRegistry } from "./metrics-registry.ts";

/** The content type of {@link renderPrometheus}. */
export const prometheusContentType = "text/plain; version=0.0.4; charset=utf-8";

/** The registry in Prometheus' text format 0.0.4. A metric without series is left out. */
export function renderPrometheus(registry: MetricsRegistry): string {
  const lines: string[] = [];
  let last = "";
  for (const family of registry.families()) {
    if (family.isEmpty) continue;
    if (family.name !== last)
      lines.push(`# HELP ${family.name} ${escapeHelp(family.help)}`, `# TYPE ${family.name} ${family.type}`);
    last = family.name;
    renderFamily(family, lines);
  }
  lines.push("");
  return lines.join("\n");
}

function renderFamily(family: MetricFamily<Counter | Gauge | Histogram>, lines: string[]): void {
  for (const { values, handle } of family.series()) {
    const labels = renderLabels(family.labelNames, values);
    if (handle instanceof Histogram) renderHistogram(family.name, labels, handle, lines);
    else lines.push(`${family.name}${labels === "" ? "" : `{${labels}}`} ${formatNumber(handle.value)}`);
  }
}

function renderHistogram(name: string, labels: string, histogram: Histogram, lines: string[]): void {
  const separator = labels === "" ? "" : ",";
  const cumulative = histogram.cumulative();
  for (let index = 0; index < cumulative.length; index += 1) {
    const bound = histogram.bounds[index] ?? Infinity;
    lines.push(`${name}_bucket{${labels}${separator}le="${formatNumber(bound)}"} ${cumulative[index] ?? 0}`);
  }
  const braced = labels === "" ? "" : `{${labels}}`;
  lines.push(`${name}_sum${braced} ${formatNumber(histogram.sum)}`, `${name}_count${braced} ${histogram.count}`);
}

function renderLabels(names: readonly string[], values: readonly string[]): string {
  let out = "";
  for (let index = 0; index < names.length; index += 1) {
    out += `${index === 0 ? "" : ","}${names[index] ?? ""}="${escapeLabel(values[index] ?? "")}"`;
  }
  return out;
}

function formatNumber(value: number): string {
  if (value === Infinity) return "+Inf";
  if (value === -Infinity) return "-Inf";
  return String(value);
}

function escapeLabel(value: string): string {
  return /["\\\n]/.test(value) ? value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"') : value;
}

function escapeHelp(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}
