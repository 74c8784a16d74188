/**
 * The labels of a series, sorted by name, with the metric's name as `__name__`. No value is empty, because an empty
 * value means the same as an absent label.
 */
export type Labels = ReadonlyMap<string, string>;

export const metricName = "__name__";

const keys = new WeakMap<Labels, string>();

/** Labels from entries. If a name occurs several times, its last value counts. */
export function labelsOf(entries: Iterable<readonly [string, string]>): Labels {
  const values = new Map(entries);
  return new Map([...values].filter(([, value]) => value !== "").sort(([a], [b]) => (a < b ? -1 : 1)));
}

export const noLabels: Labels = new Map();

/** A text that identifies labels: it is equal for equal labels only. */
export function labelsKey(labels: Labels): string {
  let key = keys.get(labels);
  if (key === undefined) {
    key = "";
    for (const [name, value] of labels) key += `${name}\u{1}${value}\u{2}`;
    keys.set(labels, key);
  }
  return key;
}

export function labelsObject(labels: Labels): Record<string, string> {
  return Object.fromEntries(labels);
}

/** A series in Prometheus' notation: `name{label="value",…}`. */
export function labelsText(labels: Labels): string {
  const name = labels.get(metricName) ?? "";
  const others = [...labels]
    .filter(([label]) => label !== metricName)
    .map(([label, value]) => `${label}=${JSON.stringify(value)}`);
  return others.length === 0 && name !== "" ? name : `${name}{${others.join(", ")}}`;
}

/** Caches a function of labels. A result is cached as long as its input is in memory. */
export function remembered(make: (labels: Labels) => Labels): (labels: Labels) => Labels {
  const made = new WeakMap<Labels, Labels>();
  return (labels) => {
    let answer = made.get(labels);
    if (answer === undefined) {
      answer = make(labels);
      made.set(labels, answer);
    }
    return answer;
  };
}

export const withoutName = remembered((labels) =>
  labels.has(metricName) ? without(labels, new Set([metricName])) : labels,
);

export function without(labels: Labels, names: ReadonlySet<string>): Labels {
  return new Map([...labels].filter(([name]) => !names.has(name)));
}

export function only(labels: Labels, names: ReadonlySet<string>): Labels {
  return new Map([...labels].filter(([name]) => names.has(name)));
}

/** The labels with this one added or replaced. An empty value removes it. */
export function withLabel(labels: Labels, name: string, value: string): Labels {
  return labelsOf([...labels, [name, value]]);
}
