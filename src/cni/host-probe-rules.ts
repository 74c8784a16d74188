import { action, ipFamilyOf, isSystemCode, match, NftNetlink, NftTransaction } from "../net/index.ts";
import { probeSource } from "./capture-rules.ts";

const table = "istio-ambient-nat";
const sets = { ipv4: "istio-inpod-probes-v4", ipv6: "istio-inpod-probes-v6" } as const;

/**
 * The rules for probes in the node's network namespace. For traffic from the node's own processes to enrolled pods,
 * such as kubelet probes, they set a source address that the pods' capture exempts.
 */
export class HostProbeRules implements Disposable {
  readonly #nft: NftNetlink;
  readonly #known = new Set<string>();

  constructor(namespaceFd?: number) {
    this.#nft = new NftNetlink(namespaceFd);
  }

  /** Installs the rules for these addresses, and removes an earlier agent's rules. */
  install(addresses: Iterable<string>): void {
    this.#known.clear();
    for (const address of addresses) this.#known.add(address);
    const transaction = new NftTransaction();
    const editor = transaction.table("inet", table).replace().addSet(sets.ipv4, ["ipv4"]).addSet(sets.ipv6, ["ipv6"]);
    editor.addChain("postrouting", { type: "nat", hook: "postrouting", priority: 100 });
    for (const family of ["ipv4", "ipv6"] as const) {
      const addressesOfFamily = [...this.#known].filter((address) => ipFamilyOf(address) === family);
      editor.addElements(
        sets[family],
        [family],
        addressesOfFamily.map((address) => [address]),
      );
      editor.addRule(
        "postrouting",
        match.fromLocalSocket(),
        match.protocol("tcp"),
        match.destinationInSet(sets[family], family),
        action.snat(probeSource[family]),
      );
    }
    this.#nft.commit(transaction);
  }

  /**
   * Writes the rules again if the node has lost them, for example because the restart of a firewall flushed all tables.
   * Returns whether the rules were lost.
   */
  restore(): boolean {
    if (this.#nft.tables("inet").includes(table)) return false;
    this.install([...this.#known]);
    return true;
  }

  add(addresses: Iterable<string>): void {
    this.#change(
      [...addresses].filter((address) => !this.#known.has(address)),
      "add",
    );
  }

  remove(addresses: Iterable<string>): void {
    this.#change(
      [...addresses].filter((address) => this.#known.has(address)),
      "remove",
    );
  }

  uninstall(): void {
    const transaction = new NftTransaction();
    transaction.table("inet", table).create().delete();
    this.#nft.commit(transaction);
    this.#known.clear();
  }

  close(): void {
    this.#nft.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #change(addresses: readonly string[], change: "add" | "remove"): void {
    if (addresses.length === 0) return;
    const transaction = new NftTransaction();
    const editor = transaction.table("inet", table);
    for (const address of addresses) {
      const family = ipFamilyOf(address);
      if (change === "add") editor.addElements(sets[family], [family], [[address]]);
      else editor.deleteElements(sets[family], [family], [[address]]);
    }
    let isLost = false;
    try {
      this.#nft.commit(transaction);
    } catch (error) {
      isLost = isSystemCode(error, "ENOENT");
      if (!isLost) throw error;
    }
    for (const address of addresses) {
      if (change === "add") this.#known.add(address);
      else this.#known.delete(address);
    }
    if (isLost) this.install([...this.#known]);
  }
}
