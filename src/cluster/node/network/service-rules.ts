import { jsonEqual } from "../../../base/index.ts";
import {
  action,
  forgetUnansweredConnects,
  match,
  NftNetlink,
  NftTransaction,
  type NftKeyType,
  type NftTableEditor,
} from "../../../net/index.ts";
import { AddressClaims, type MapEntry, type WantedAddress } from "./address-claims.ts";
import type { PlannedPort, ServiceEndpoint } from "./service-plan.ts";

const tableName = "serin-services";
const family = "ip";
const addressKey: readonly NftKeyType[] = ["ipv4", "protocol", "port"];
const nodePortKey: readonly NftKeyType[] = ["protocol", "port"];
/** The mark of connections whose source becomes the node's own address. kube-proxy uses the same value. */
const masqueradeMark = 0x4000;
const podRange = "10.244.0.0/16";
/** The names of the maps and chains that all ports share. */
const maps = { services: "services", nodePorts: "node-ports", rejected: "no-endpoints" } as const;
const chains = { services: "services", hairpin: "hairpin", reject: "reject" } as const;

interface Installed {
  readonly plan: PlannedPort;
  readonly chains: readonly string[];
  readonly sets: readonly string[];
}

/**
 * The node's Services as nf_tables rules. Verdict maps lead from addresses to the chains of each port. One transaction
 * replaces the chains of a port.
 */
export class ServiceRules implements Disposable {
  readonly #netlink: NftNetlink;
  readonly #installed = new Map<string, Installed>();
  readonly #claims = new AddressClaims();
  /** The entries in the kernel's maps, by the id of the claim that they serve. */
  readonly #entries = new Map<string, MapEntry>();
  #hairpins: readonly string[] = [];

  /** Opens a netlink socket in the calling thread's network namespace, where the rules apply. */
  constructor() {
    this.#netlink = new NftNetlink();
  }

  /** Replaces all rules, in a single transaction if the kernel accepts it. */
  replaceAll(plans: readonly PlannedPort[], podAddresses: readonly string[]): void {
    this.#installed.clear();
    this.#entries.clear();
    this.#claims.clear();
    for (const plan of plans) this.#claims.set(plan, wantedBy(plan));
    const begin = (transaction: NftTransaction): void => {
      const table = transaction.table(family, tableName).replace();
      addFrame(table);
      addHairpins(table, podAddresses);
    };
    this.#netlink.commitAll([
      begin,
      ...plans.map(
        (plan) => (transaction: NftTransaction) => this.#install(transaction.table(family, tableName), plan)(),
      ),
    ]);
    this.#hairpins = podAddresses;
  }

  has(key: string): boolean {
    return this.#installed.has(key);
  }

  /** Whether the rules in force are those of the plan, so that the port needs no update. */
  holds(plan: PlannedPort): boolean {
    return jsonEqual(this.#installed.get(plan.key)?.plan, plan);
  }

  /** Updates one port. Returns whether an endpoint was removed. Existing connections stay with their endpoint. */
  update(plan: PlannedPort): boolean {
    if (this.holds(plan)) return false;
    const before = this.#installed.get(plan.key);
    const transaction = new NftTransaction();
    const committed = this.#install(transaction.table(family, tableName), plan);
    try {
      this.#netlink.commit(transaction);
    } catch (error) {
      this.#claims.set(plan, before === undefined ? [] : wantedBy(before.plan));
      throw error;
    }
    committed();
    const now = new Set(plan.endpoints.map(endpointName));
    return before?.plan.endpoints.some((endpoint) => !now.has(endpointName(endpoint))) === true;
  }

  /**
   * Lets an unanswered connection attempt whose endpoint is gone choose a current endpoint at its next SYN. Before the
   * call, give a late answer of the old endpoint time to arrive.
   */
  forgetUnansweredConnects(): void {
    const plans = [...this.#installed.values()].map(({ plan }) => plan);
    const current = new Set(plans.flatMap(({ endpoints }) => endpoints.map(endpointName)));
    forgetUnansweredConnects((endpoint) => current.has(endpoint));
  }

  remove(key: string): void {
    const before = this.#installed.get(key);
    if (before === undefined) return;
    const transaction = new NftTransaction();
    const table = transaction.table(family, tableName);
    const changes = this.#changes(this.#claims.set(before.plan, []));
    deleteEntries(table, changes);
    for (const chain of before.chains) table.flushChain(chain);
    for (const chain of before.chains) table.deleteChain(chain);
    for (const set of before.sets) table.deleteSet(set);
    addEntries(table, changes);
    try {
      this.#netlink.commit(transaction);
    } catch (error) {
      this.#claims.set(before.plan, wantedBy(before.plan));
      throw error;
    }
    this.#remember(changes);
    this.#installed.delete(key);
  }

  keys(): string[] {
    return [...this.#installed.keys()];
  }

  /** Sets the addresses of this node's pods, because a pod may reach itself through a Service. */
  setPodAddresses(addresses: readonly string[]): void {
    if (jsonEqual(addresses, this.#hairpins)) return;
    const transaction = new NftTransaction();
    const table = transaction.table(family, tableName).flushChain(chains.hairpin);
    addHairpins(table, addresses);
    this.#netlink.commit(transaction);
    this.#hairpins = addresses;
  }

  [Symbol.dispose](): void {
    this.#netlink.close();
  }

  /**
   * Adds the port's rules to the transaction. Call the returned function after the kernel has accepted the transaction.
   */
  #install(table: NftTableEditor, plan: PlannedPort): () => void {
    const before = this.#installed.get(plan.key);
    const changes = this.#changes(this.#claims.set(plan, wantedBy(plan)), plan.key);
    deleteEntries(table, changes);
    const built = buildChains(table, plan, before);
    addEntries(table, changes);
    return () => {
      this.#remember(changes);
      this.#installed.set(plan.key, { plan, ...built });
    };
  }

  /**
   * The map entries that must change for these claims. `installing` is the key of a port whose chains the same
   * transaction adds.
   */
  #changes(ids: readonly string[], installing?: string): readonly EntryChange[] {
    return ids.flatMap((id) => {
      const winner = this.#claims.winner(id);
      const isThere = winner !== undefined && (winner.key === installing || this.#installed.has(winner.key));
      const [before, after] = [this.#entries.get(id), isThere ? winner.entry : undefined];
      return jsonEqual(before, after) ? [] : [{ id, before, after }];
    });
  }

  #remember(changes: readonly EntryChange[]): void {
    for (const { id, after } of changes) {
      if (after === undefined) this.#entries.delete(id);
      else this.#entries.set(id, after);
    }
  }
}

interface EntryChange {
  readonly id: string;
  readonly before: MapEntry | undefined;
  readonly after: MapEntry | undefined;
}

function deleteEntries(table: NftTableEditor, changes: readonly EntryChange[]): void {
  for (const { before } of changes)
    if (before !== undefined) table.deleteElements(before.map, keyTypes(before), [before.key]);
}

function addEntries(table: NftTableEditor, changes: readonly EntryChange[]): void {
  for (const { after } of changes)
    if (after !== undefined)
      table.addVerdicts(after.map, keyTypes(after), [
        { key: after.key, verdict: { kind: "goto", chain: after.chain } },
      ]);
}

function keyTypes(entry: MapEntry): readonly NftKeyType[] {
  return entry.map === maps.nodePorts ? nodePortKey : addressKey;
}

const endpointName = ({ address, port }: ServiceEndpoint): string => `${address}:${port}`;
const chainOf = (plan: PlannedPort, part: string): string => `${part}/${plan.key}`;

/** The addresses that a port claims, each with the chain to which it leads. */
function wantedBy(plan: PlannedPort): WantedAddress[] {
  const { protocol, port, nodePort, endpoints, clusterAddresses, externalAddresses } = plan;
  const isServed = endpoints.length > 0;
  const address = (ip: string, part: "in" | "ext"): WantedAddress => ({
    id: `${ip} ${protocol} ${port}`,
    entry: {
      map: isServed ? maps.services : maps.rejected,
      key: [ip, protocol, port],
      chain: isServed ? chainOf(plan, part) : chains.reject,
    },
    isOwn: part === "in",
  });
  const wanted = [
    ...clusterAddresses.map((ip) => address(ip, "in")),
    ...externalAddresses.filter((ip) => !clusterAddresses.includes(ip)).map((ip) => address(ip, "ext")),
  ];
  if (!isServed || nodePort === undefined || nodePort === 0) return wanted;
  const entry = { map: maps.nodePorts, key: [protocol, nodePort], chain: chainOf(plan, "ext") };
  return [...wanted, { id: `node ${protocol} ${nodePort}`, entry, isOwn: true }];
}

function addFrame(table: NftTableEditor): void {
  table
    .addVerdictMap(maps.services, addressKey)
    .addVerdictMap(maps.nodePorts, nodePortKey)
    .addVerdictMap(maps.rejected, addressKey);
  table.addChain(chains.services).addChain(chains.hairpin).addChain(chains.reject);
  table.addRule(chains.services, action.serviceVerdict(maps.services, "ipv4"));
  table.addRule(
    chains.services,
    match.destinationIsLocal(),
    match.destination("127.0.0.0/8", { not: true }),
    action.nodePortVerdict(maps.nodePorts),
  );
  table.addRule(chains.reject, match.protocol("tcp"), action.rejectWithReset());
  table.addRule(chains.reject, action.rejectUnreachable());
  for (const hook of ["prerouting", "output"] as const) {
    table.addChain(`nat-${hook}`, { type: "nat", hook, priority: -100 });
    table.addRule(`nat-${hook}`, action.jump(chains.services));
  }
  table.addChain("nat-postrouting", { type: "nat", hook: "postrouting", priority: 100 });
  table.addRule("nat-postrouting", match.mark(masqueradeMark, masqueradeMark), action.masquerade());
  table.addRule("nat-postrouting", match.connectionStatus("dnat"), action.jump(chains.hairpin));
  for (const hook of ["input", "forward", "output"] as const) {
    table.addChain(`filter-${hook}`, { type: "filter", hook, priority: -5 });
    table.addRule(`filter-${hook}`, match.connectionState("new"), action.serviceVerdict(maps.rejected, "ipv4"));
  }
}

function addHairpins(table: NftTableEditor, addresses: readonly string[]): void {
  for (const address of addresses)
    table.addRule(chains.hairpin, match.source(address), match.destination(address), action.masquerade());
}

/**
 * The chains of a port. `in/` takes traffic from inside the cluster, and `ext/` from outside. `all/` and `local/`
 * choose an endpoint. Existing chains are emptied and filled in the same transaction.
 */
function buildChains(
  table: NftTableEditor,
  plan: PlannedPort,
  before: Installed | undefined,
): Pick<Installed, "chains" | "sets"> {
  const local = plan.endpoints.filter((endpoint) => endpoint.local);
  const needsLocal = plan.externalLocal || plan.internalLocal;
  const affine = plan.affinityMs === undefined ? [] : plan.endpoints;
  const pinned = affine.map((endpoint) => pinnedChain(plan, endpoint));
  const names = [
    chainOf(plan, "in"),
    chainOf(plan, "ext"),
    chainOf(plan, "all"),
    ...(needsLocal ? [chainOf(plan, "local")] : []),
    ...pinned,
  ];
  const sets = affine.map((endpoint) => affinitySet(plan, endpoint));
  const known = new Set(before?.chains);
  const stale = [...known].filter((name) => !names.includes(name));
  for (const name of names) if (!known.has(name)) table.addChain(name);
  for (const name of known) table.flushChain(name);
  for (const set of sets)
    if (before?.sets.includes(set) !== true) table.addSet(set, ["ipv4"], { timeoutMs: plan.affinityMs ?? 0 });

  const fromOutside = match.source(podRange, { not: true });
  table.addRule(chainOf(plan, "in"), fromOutside, action.setMark(masqueradeMark, masqueradeMark));
  table.addRule(chainOf(plan, "in"), action.goto(chainOf(plan, plan.internalLocal ? "local" : "all")));
  if (plan.externalLocal) {
    table.addRule(chainOf(plan, "ext"), match.source(podRange), action.goto(chainOf(plan, "all")));
    table.addRule(chainOf(plan, "ext"), action.goto(chainOf(plan, "local")));
  } else {
    table.addRule(chainOf(plan, "ext"), fromOutside, action.setMark(masqueradeMark, masqueradeMark));
    table.addRule(chainOf(plan, "ext"), action.goto(chainOf(plan, "all")));
  }
  fillChoice(table, plan, chainOf(plan, "all"), plan.endpoints);
  if (needsLocal) fillChoice(table, plan, chainOf(plan, "local"), local);
  for (const endpoint of affine) {
    const chain = pinnedChain(plan, endpoint);
    table.addRule(chain, action.rememberSource(affinitySet(plan, endpoint), "ipv4", plan.affinityMs ?? 0));
    table.addRule(chain, match.protocol(plan.protocol), action.dnat(endpoint.address, endpoint.port));
  }
  for (const name of stale) table.deleteChain(name);
  for (const set of before?.sets ?? []) if (!sets.includes(set)) table.deleteSet(set);
  return { chains: names, sets };
}

function fillChoice(
  table: NftTableEditor,
  plan: PlannedPort,
  chain: string,
  endpoints: readonly ServiceEndpoint[],
): void {
  if (endpoints.length === 0) {
    table.addRule(chain, action.drop());
    return;
  }
  if (plan.affinityMs === undefined) {
    table.addRule(chain, match.protocol(plan.protocol), table.dnatToOneOf(endpoints));
    return;
  }
  for (const endpoint of endpoints)
    table.addRule(
      chain,
      match.sourceInSet(affinitySet(plan, endpoint), "ipv4"),
      action.goto(pinnedChain(plan, endpoint)),
    );
  for (const [index, endpoint] of endpoints.entries()) {
    const left = endpoints.length - index;
    table.addRule(chain, left === 1 ? [] : match.randomly(1 / left), action.goto(pinnedChain(plan, endpoint)));
  }
}

function pinnedChain(plan: PlannedPort, endpoint: ServiceEndpoint): string {
  return chainOf(plan, `to-${endpoint.address}-${endpoint.port}`);
}

function affinitySet(plan: PlannedPort, endpoint: ServiceEndpoint): string {
  return chainOf(plan, `from-${endpoint.address}-${endpoint.port}`);
}
