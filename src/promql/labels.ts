/** Labels of one series, the metric's name under `__name__`, in the order of their names. No value is empty: that is the same as no label. */
export type Labels = ReadonlyMap<string, string>;

export const metricName = "__name__";

const keys = new WeakMap<Labels, string>();

/** Later entries win over earlier ones of the same name. */
export function labelsOf(entries: Iterable<readonly [string, string]>): Labels {
  const values = new Map(entries);
  return new Map([...values].filter(([, value]) => value !== "").sort(([a], [b]) => (a < b ? -1 : 1)));
}

export const noLabels: Labels = new Map();

/** The same text for the same labels, whatever made them. */
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

/** `name{label="value",…}`, as Prometheus writes a series. */
export function labelsText(labels: Labels): string {
  const name = labels.get(metricName) ?? "";
  const others = [...labels]
    .filter(([label]) => label !== metricName)
    .map(([label, value]) => `${label}=${JSON.stringify(value)}`);
  return others.length === 0 && name !== "" ? name : `${name}{${others.join(", ")}}`;
}

/** A function of labels whose answers are kept as long as what they were made of. */
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

/** An empty value takes the label away. */
export function withLabel(labels: Labels, name: string, value: string): Labels {
  return labelsOf([...labels, [name, value]]);
}
