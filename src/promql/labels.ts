/**
 * The labels of one series, sorted by name, with the metric's name under `__name__`. No value is empty, because an
 * empty value means the same as an absent label.
 */
export type Labels = ReadonlyMap<string, string>;

export const metricName = "__name__";

const keys = new WeakMap<Labels, string>();

/** Makes labels from entries. A later entry overrides an earlier one with the same name. */
export function labelsOf(entries: Iterable<readonly [string, string]>): Labels {
  const values = new Map(entries);
  return new Map([...values].filter(([, value]) => value !== "").sort(([a], [b]) => (a < b ? -1 : 1)));
}

export const noLabels: Labels = new Map();

/** A text that is equal for equal labels, and different for different labels. */
export function labelsKey(labels: Labels): string {
  let key = keys.get(labels);
  if (key === undefined) {
    key = "";
    for (const [name, value] of labels) key += `${name}\u{1}${value}\u{2}`;
    keys.set(labels, key);
  }
  return key;
}

/** The labels as a plain object, for JSON. */
export function labelsObject(labels: Labels): Record<string, string> {
  return Object.fromEntries(labels);
}

/** Formats a series as Prometheus does: `name{label="value",…}`. */
export function labelsText(labels: Labels): string {
  const name = labels.get(metricName) ?? "";
  const others = [...labels]
    .filter(([label]) => label !== metricName)
    .map(([label, value]) => `${label}=${JSON.stringify(value)}`);
  return others.length === 0 && name !== "" ? name : `${name}{${others.join(", ")}}`;
}

/** Wraps a function of labels in a cache. A cached result lives as long as its input. */
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

/** The labels with this one added or replaced. An empty value removes the label. */
export function withLabel(labels: Labels, name: string, value: string): Labels {
  return labelsOf([...labels, [name, value]]);
}
