import { jsonEqual } from "../../../base/index.ts";
import {
  action,
  match,
  NftNetlink,
  type NftRulePart,
  type NftTableEditor,
  type NftTransaction,
} from "../../../net/index.ts";
import type { PodIsolation } from "./network-policy-plan.ts";
import type { AllowedTraffic, TrafficPeer } from "./network-policy-traffic.ts";

const tableName = "serin-policies";
const family = "ip";
const dnsPort = 53;
/**
 * The two directions. Each has a chain that jumps to the chains of pods. The egress of the sending pod is checked
 * first.
 */
const directions = ["egress", "ingress"] as const;
type Direction = (typeof directions)[number];

/** The maximum number of elements in one netlink message. A message has space for about four thousand addresses. */
const elementsPerMessage = 1_000;

interface Installed {
  readonly isolation: PodIsolation;
  /** The names of the pod's chains, by isolated direction. */
  readonly chains: Readonly<Partial<Record<Direction, string>>>;
  readonly sets: readonly string[];
}

type Change = (transaction: NftTransaction) => void;

/**
 * NetworkPolicies as nf_tables rules. They are in the node's network namespace, which forwards all packets of its pods.
 * Every isolated pod has a chain for each isolated direction. The chain's last rule drops the packet. The node's own
 * packets to its pods are never forwarded, so probes are not blocked. Packets of established connections pass too.
 */
export class NetworkPolicyRules implements Disposable {
  readonly #netlink: NftNetlink;
  #installed: ReadonlyMap<string, Installed> = new Map();
  #serial = 0;

  /** Opens a netlink socket in the calling thread's network namespace, where the rules apply. */
  constructor() {
    this.#netlink = new NftNetlink();
  }

  /** Replaces all rules at once. `nameServer` is this node's address if the cluster's name server listens on it. */
  replaceAll(isolations: readonly PodIsolation[], nameServer: string | undefined): void {
    this.#installed = new Map();
    const { changes, next } = this.#changesTo(isolations);
    this.#netlink.commitAll([
      (transaction) => addFrame(transaction.table(family, tableName).replace(), nameServer),
      ...changes,
    ]);
    this.#installed = next;
  }

  /**
   * Replaces all rules pod by pod. A pod gets no traffic in its isolated directions until its rules are in place. If
   * the kernel refuses them, the pod keeps getting no traffic, and `refused` is called.
   */
  replaceEach(
    isolations: readonly PodIsolation[],
    nameServer: string | undefined,
    refused: (isolation: PodIsolation, error: unknown) => void,
  ): void {
    let shown = isolations.map(closed);
    this.replaceAll(shown, nameServer);
    for (const [index, isolation] of isolations.entries()) {
      const opened = shown.with(index, isolation);
      try {
        this.update(opened);
        shown = opened;
      } catch (error) {
        refused(isolation, error);
      }
    }
  }

  /**
   * Updates the rules of the pods whose isolation has changed. Uses one transaction of the kernel, unless the changes
   * are too large for one.
   */
  update(isolations: readonly PodIsolation[]): void {
    const { changes, next } = this.#changesTo(isolations);
    this.#netlink.commitAll(changes);
    this.#installed = next;
  }

  addresses(): string[] {
    return [...this.#installed.keys()];
  }

  [Symbol.dispose](): void {
    this.#netlink.close();
  }

  /**
   * The changes in order: new chains, jumps to the new chains, and the removal of old chains. With this order, a
   * complete set of rules applies at any time.
   */
  #changesTo(isolations: readonly PodIsolation[]): {
    readonly changes: readonly Change[];
    readonly next: ReadonlyMap<string, Installed>;
  } {
    const before = this.#installed;
    const changes: Change[] = [];
    const next = new Map<string, Installed>();
    const obsolete: Installed[] = [];
    for (const isolation of isolations) {
      const known = before.get(isolation.address);
      if (known !== undefined && jsonEqual(known.isolation, isolation)) {
        next.set(isolation.address, known);
        continue;
      }
      if (known !== undefined) obsolete.push(known);
      const installed = this.#named(isolation);
      next.set(isolation.address, installed);
      for (const direction of directions)
        changes.push((transaction) => fillChain(transaction.table(family, tableName), direction, installed));
    }
    for (const [address, known] of before) if (!next.has(address)) obsolete.push(known);
    if (changes.length + obsolete.length === 0) return { changes, next: before };
    changes.push((transaction) => fillDispatch(transaction.table(family, tableName), next.values()));
    for (const known of obsolete) changes.push((transaction) => remove(transaction.table(family, tableName), known));
    return { changes, next };
  }

  /**
   * Chooses names for the pod's new chains. They differ from those of its present chains, because both exist for a
   * moment.
   */
  #named(isolation: PodIsolation): Installed {
    this.#serial += 1;
    const chains: Partial<Record<Direction, string>> = {};
    const sets: string[] = [];
    for (const direction of directions) {
      const allowed = isolation[direction];
      if (allowed === undefined) continue;
      const chain = `${direction}/${isolation.address}/${this.#serial}`;
      chains[direction] = chain;
      for (const [index, { peer }] of allowed.entries())
        if (peer.kind === "addresses" || (peer.kind === "block" && peer.except.length > 0))
          sets.push(setName(chain, index));
    }
    return { isolation, chains, sets };
  }
}

/** The same isolation, but without any allowed traffic. */
export function closed({ ingress, egress, ...isolation }: PodIsolation): PodIsolation {
  return {
    ...isolation,
    ingress: ingress === undefined ? undefined : [],
    egress: egress === undefined ? undefined : [],
  };
}

function addFrame(table: NftTableEditor, nameServer: string | undefined): void {
  for (const direction of directions) table.addChain(direction);
  table.addChain("forward", { type: "filter", hook: "forward", priority: 0 });
  table.addRule("forward", match.connectionState("established", "related"), action.accept());
  for (const direction of directions) table.addRule("forward", action.jump(direction));
  if (nameServer === undefined) return;
  // A pod may always reach its own node. Only the name server's port is different: policies treat it as a pod.
  table.addChain("input", { type: "filter", hook: "input", priority: 0 });
  table.addRule("input", match.connectionState("established", "related"), action.accept());
  for (const protocol of ["udp", "tcp"] as const)
    table.addRule(
      "input",
      match.destination(nameServer),
      match.protocol(protocol),
      match.destinationPort(dnsPort),
      action.jump("egress"),
    );
}

function fillDispatch(table: NftTableEditor, installed: Iterable<Installed>): void {
  for (const direction of directions) table.flushChain(direction);
  for (const { isolation, chains } of installed) {
    if (chains.egress !== undefined)
      table.addRule("egress", match.source(isolation.address), action.jump(chains.egress));
    if (chains.ingress !== undefined)
      table.addRule("ingress", match.destination(isolation.address), action.jump(chains.ingress));
  }
}

function fillChain(table: NftTableEditor, direction: Direction, { chains, isolation }: Installed): void {
  const chain = chains[direction];
  if (chain === undefined) return;
  const end = direction === "egress" ? "destination" : "source";
  table.addChain(chain);
  // Policies must not stop a pod from reaching itself through its Service.
  table.addRule(chain, match[end](isolation.address), action.return());
  for (const [index, { peer, ports }] of (isolation[direction] ?? []).entries()) {
    const set = setName(chain, index);
    if (peer.kind === "addresses") {
      table.addSet(set, ["ipv4"]);
      for (let from = 0; from < peer.addresses.length; from += elementsPerMessage)
        table.addElements(
          set,
          ["ipv4"],
          peer.addresses.slice(from, from + elementsPerMessage).map((address) => [address]),
        );
      // Put the exceptions into a set, because a rule has at most 128 expressions.
    } else if (peer.kind === "block" && peer.except.length > 0) table.addRangeSet(set, peer.except);
    for (const conditions of portConditions(ports))
      table.addRule(chain, ...peerConditions(peer, end, set), ...conditions, action.return());
  }
  table.addRule(chain, action.drop());
}

const outside = { not: true } as const;

function peerConditions(peer: TrafficPeer, end: "source" | "destination", set: string): NftRulePart[] {
  switch (peer.kind) {
    case "addresses":
      return [end === "source" ? match.sourceInSet(set, "ipv4") : match.destinationInSet(set, "ipv4")];
    case "block":
      return [
        match[end](peer.cidr),
        ...(peer.except.length === 0
          ? []
          : [
              end === "source" ? match.sourceInSet(set, "ipv4", outside) : match.destinationInSet(set, "ipv4", outside),
            ]),
      ];
    default:
      return [];
  }
}

function portConditions(ports: AllowedTraffic["ports"]): NftRulePart[][] {
  if (ports === undefined) return [[]];
  return ports.map(({ protocol, first, last }) => [match.protocol(protocol), ...rangeCondition(first, last)]);
}

function rangeCondition(first: number, last: number): NftRulePart[] {
  if (first === last) return [match.destinationPort(first)];
  return first === 0 && last === 65_535 ? [] : [match.destinationPorts(first, last)];
}

function remove(table: NftTableEditor, { chains, sets }: Installed): void {
  for (const chain of Object.values(chains)) table.flushChain(chain);
  for (const chain of Object.values(chains)) table.deleteChain(chain);
  for (const set of sets) table.deleteSet(set);
}

function setName(chain: string, index: number): string {
  return `${chain}/${index}`;
}
