import { matchesLabelSelector, type LabelSelector } from "../../api/index.ts";

type Labels = Readonly<Record<string, string>>;

/** Which namespaces of one cluster are looked at: those that a selector of the mesh config matches; all where there is none. */
export class DiscoveryNamespaces {
  readonly #labels = new Map<string, Labels>();
  #selectors: readonly LabelSelector[] = [];

  /** What is in no namespace is always looked at. */
  includes(namespace: string | undefined): boolean {
    if (namespace === undefined || namespace === "" || this.#selectors.length === 0) return true;
    const labels = this.#labels.get(namespace);
    return labels !== undefined && this.#selects(labels);
  }

  /** Undefined labels: the namespace is gone. Answers whether it is looked at now and was not, or the other way round. */
  setNamespace(name: string, labels: Labels | undefined): boolean {
    const before = this.includes(name);
    if (labels === undefined) this.#labels.delete(name);
    else this.#labels.set(name, labels);
    return before !== this.includes(name);
  }

  /** Answers the namespaces whose turn changes. */
  setSelectors(selectors: readonly LabelSelector[]): ReadonlySet<string> {
    const before = new Map([...this.#labels.keys()].map((name) => [name, this.includes(name)]));
    this.#selectors = selectors;
    return new Set([...before].flatMap(([name, included]) => (included === this.includes(name) ? [] : name)));
  }

  #selects(labels: Labels): boolean {
    return this.#selectors.some((selector) => matchesLabelSelector(selector, labels));
  }
}
