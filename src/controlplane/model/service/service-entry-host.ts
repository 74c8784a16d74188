import type { Collection, CollectionGraph, CollectionIndex, CollectionReader } from "../../../kube/index.ts";
import { byAge, compareText, type Labels, type MeshSettings, type ServiceEntryFacts } from "../facts.ts";
import { memos } from "../memos.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import { visibilityOf } from "./service-visibility.ts";

/**
 * The maximum number of entries of one host that are used, the oldest ones. A change of one entry reads all of them
 * again, so a namespace with more would keep the control plane busy.
 */
const maxJoinedEntries = 1000;

/**
 * How many services the entries of one host may form for different namespaces. Without this limit, each small entry
 * with another `exportTo` would add a service with the endpoints of all entries.
 */
const maxServices = 16;

/** The hosts of ServiceEntries. Several entries of a namespace may have the same host. */
export interface EntryHosts {
  /** The keys `namespace/host`, once for each host of each namespace. */
  readonly keys: Collection<string>;
  readonly entries: CollectionIndex<ServiceEntryFacts>;
}

export function deriveEntryHosts(graph: CollectionGraph, { serviceEntries }: MeshInputs): EntryHosts {
  return {
    // Thousands of entries may have the same host, so each host is read once and not once for each entry.
    keys: graph.derive("service-entry-hosts", serviceEntries, (entry) => hostKeys(entry).map((key) => [key, key])),
    entries: entriesByHost(serviceEntries),
  };
}

function entriesByHost(serviceEntries: Collection<ServiceEntryFacts>): CollectionIndex<ServiceEntryFacts> {
  return serviceEntries.index("host-of-namespace", (entry) => new Set(hostKeys(entry)));
}

/** The oldest ServiceEntry of the entry's namespace with that host, the one that routes and policies must name. */
export function oldestOfHost(
  { namespace }: ServiceEntryFacts,
  host: string,
  { serviceEntries }: MeshInputs,
  reader: CollectionReader,
): ServiceEntryFacts | undefined {
  const found = reader.lookup(entriesByHost(serviceEntries), hostKey(namespace, host));
  return found.length < 2 ? found[0] : oldestEntries.of(found, oldestIn);
}

/** Thousands of entries may have one host, so the oldest is chosen once for all routes. */
const oldestEntries = memos.memo<readonly ServiceEntryFacts[], ServiceEntryFacts | undefined>("oldest-entries");

function oldestIn(entries: readonly ServiceEntryFacts[]): ServiceEntryFacts | undefined {
  let oldest = entries[0];
  for (const entry of entries) if (oldest !== undefined && byAge(entry, oldest) < 0) oldest = entry;
  return oldest;
}

function hostKeys({ namespace, spec }: ServiceEntryFacts): readonly string[] {
  return spec.hosts.map((host) => hostKey(namespace, host));
}

function hostKey(namespace: string, host: string): string {
  return `${namespace}/${host.toLowerCase()}`;
}

/** The host of the key `namespace/host`, in the entry's own spelling. */
export function hostIn({ namespace, spec }: ServiceEntryFacts, key: string): string {
  const [only = ""] = spec.hosts;
  return spec.hosts.length < 2 ? only : (spellings.of(spec, spellingsIn).get(key.slice(namespace.length + 1)) ?? only);
}

type Spec = ServiceEntryFacts["spec"];

/** The hosts of an entry, by their names in lower case. */
const spellings = memos.memo<Spec, ReadonlyMap<string, string>>("spellings-of-hosts");

function spellingsIn({ hosts }: Spec): ReadonlyMap<string, string> {
  return new Map(hosts.toReversed().map((host) => [host.toLowerCase(), host]));
}

/** The entries of one service, oldest first. The oldest decides about the service, and the others add ports. */
export interface EntriesOfService {
  readonly entries: readonly ServiceEntryFacts[];
  /** The namespaces that see this service. Undefined for the service of the host's oldest entry. */
  readonly variant: string | undefined;
}

export interface EntriesOfHost {
  /** One service for each set of namespaces to which entries are exported. That of the oldest entry comes first. */
  readonly services: readonly EntriesOfService[];
  /** All entries of the host, oldest first. */
  readonly all: readonly ServiceEntryFacts[];
}

const nobody: EntriesOfHost = { services: [], all: [] };

/**
 * The entries of a host. As in upstream, a user may write one entry for each port of a host, or for some of its
 * endpoints. The oldest entry decides about the whole service. An entry adds no ports if its resolution,
 * workloadSelector or labels differ from the oldest entry's. Endpoints belong to the host, whichever entry names them.
 */
export function entriesOfHost(
  key: string,
  { entries }: EntryHosts,
  mesh: MeshSettings,
  reader: CollectionReader,
): EntriesOfHost {
  const found = reader.lookup(entries, key);
  if (found.length < 2)
    return found.length === 0 ? nobody : { services: [{ entries: found, variant: undefined }], all: found };
  const all = [...found].sort(byAge).slice(0, maxJoinedEntries);
  const bySight = [...Map.groupBy(all, (entry) => visibleText(entry, mesh))].slice(0, maxServices);
  const services = bySight.map(([visible, same], index) => {
    const wanted = same[0] === undefined ? "" : settings.of(same[0], settingsText);
    return {
      entries: same.filter((entry) => settings.of(entry, settingsText) === wanted),
      variant: index === 0 ? undefined : visible,
    };
  });
  return { services, all };
}

/** The key of a service of a host. `host` is `namespace/host`. */
export function hostServiceKey(host: string, variant: string | undefined): string {
  return variant === undefined ? host : `${host}#${variant}`;
}

function visibleText({ namespace, spec }: ServiceEntryFacts, mesh: MeshSettings): string {
  return visibilityOf(spec.exportTo.length === 0 ? mesh.defaultServiceExportTo : spec.exportTo, namespace).join();
}

/** An entry may have thousands of labels, so its text is cached. */
const settings = memos.memo<ServiceEntryFacts, string>("settings-of-entries");

function settingsText({ labels, spec: { resolution, workloadSelector } }: ServiceEntryFacts): string {
  return JSON.stringify([resolution, sorted(labels), sorted(workloadSelector?.labels ?? {})]);
}

function sorted(labels: Labels): readonly (readonly [string, string])[] {
  return Object.entries(labels).sort(([left], [right]) => compareText(left, right));
}
