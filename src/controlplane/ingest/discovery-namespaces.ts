import { matchesLabelSelector, type LabelSelector, type Labels } from "../../api/index.ts";

/**
 * The namespaces of one cluster that are read: those that a selector of the mesh config matches, or all if there is no
 * selector.
 */
export class DiscoveryNamespaces {
  readonly #labels = new Map<string, Labels>();
  #selectors: readonly LabelSelector[] = [];

  /** Whether the objects of a namespace are read. Objects without a namespace always are. */
  includes(namespace: string | undefined): boolean {
    if (namespace === undefined || namespace === "" || this.#selectors.length === 0) return true;
    const labels = this.#labels.get(namespace);
    return labels !== undefined && this.#selects(labels);
  }

  /**
   * Sets the labels of a namespace, or undefined if it is deleted. Returns whether it has become included or excluded.
   */
  setNamespace(name: string, labels: Labels | undefined): boolean {
    const before = this.includes(name);
    if (labels === undefined) this.#labels.delete(name);
    else this.#labels.set(name, labels);
    return before !== this.includes(name);
  }

  /** Returns the namespaces that have become included or excluded. */
  setSelectors(selectors: readonly LabelSelector[]): ReadonlySet<string> {
    const before = new Map([...this.#labels.keys()].map((name) => [name, this.includes(name)]));
    this.#selectors = selectors;
    return new Set([...before].flatMap(([name, included]) => (included === this.includes(name) ? [] : name)));
  }

  #selects(labels: Labels): boolean {
    return this.#selectors.some((selector) => matchesLabelSelector(selector, labels));
  }
}
