import type { UntypedObject } from "../../api/index.ts";
import { canaryKind } from "../../api/serin/index.ts";
import type { AuthorRights } from "../access/index.ts";
import type { Contender, Step } from "../decide/index.ts";
import { groupName, isMeshUpgrade, kindOfRollout, rolloutKey, type Rollout } from "./rollout-object.ts";

export interface ReachOptions {
  /** If undefined, every rollout reaches everywhere. */
  readonly rights: Pick<AuthorRights, "mayCreate"> | undefined;
  readonly all: readonly Contender[];
  /** Reads the object from the informers' caches. */
  readonly watched: (kind: string, key: string) => Rollout | undefined;
}

/**
 * The maximum number of members in one other namespace, because a user may create thousands of Canaries that name the
 * group. The oldest members count, and the others are ignored.
 */
const maxMembers = 32;

/**
 * The members of the rollout's group in other namespaces that count for it. A member counts if each of the two authors
 * may create rollouts in the namespace of the other. Otherwise anybody who may write Canaries in one namespace could
 * name the group of other people, and so delay their rollouts or make them fail. Undefined means that all members
 * count.
 */
export async function companionsOf(
  rollout: Rollout,
  { rights, all, watched }: ReachOptions,
): Promise<ReadonlySet<string> | undefined> {
  const group = groupName(rollout);
  if (rights === undefined || group === undefined) return undefined;
  const { namespace } = rollout.metadata;
  const own = rolloutKey(rollout);
  const others = all
    .filter((other) => other.group === group && other.key !== own && other.namespace !== namespace)
    .toSorted((left, right) => left.createdAtMs - right.createdAtMs);
  const companions = new Set<string>();
  const reached = new Map<string, boolean>();
  const seen = new Map<string, number>();
  for (const other of others) {
    const place = `${other.kind} ${other.namespace ?? ""}`;
    const count = (seen.get(place) ?? 0) + 1;
    seen.set(place, count);
    if (count > maxMembers) continue;
    const reaches = reached.get(place) ?? (await rights.mayCreate(typed(rollout), other.kind, other.namespace));
    reached.set(place, reaches);
    const object = reaches ? watched(other.kind, other.key.slice(other.kind.length + 1)) : undefined;
    if (object !== undefined && (await rights.mayCreate(typed(object), kindOfRollout(rollout).kind, namespace)))
      companions.add(other.key);
  }
  return companions;
}

/**
 * The steps without the namespaces that the rollout only reads and in which its author may not create Canaries. To read
 * such a namespace, the right to read a Service suffices, and a mere reader must not reserve it against other rollouts.
 */
export async function withinReach(
  rollout: Rollout,
  steps: readonly Step[],
  { rights }: Pick<ReachOptions, "rights">,
): Promise<readonly Step[]> {
  if (rights === undefined || isMeshUpgrade(rollout)) return steps;
  const written = new Set([
    rollout.metadata.namespace,
    ...steps.flatMap((step) => step.writes.map(({ object }) => object.namespace)),
  ]);
  const read = new Set(steps.flatMap(({ namespaces = [] }) => namespaces).filter((name) => !written.has(name)));
  for (const name of read) if (await rights.mayCreate(typed(rollout), canaryKind.kind, name)) read.delete(name);
  if (read.size === 0) return steps;
  return steps.map((step) =>
    step.namespaces === undefined ? step : { ...step, namespaces: step.namespaces.filter((name) => !read.has(name)) },
  );
}

/** Adds the kind. In a list, the API server leaves out the kind of the items. */
function typed(rollout: Rollout): UntypedObject {
  return { ...(rollout as unknown as UntypedObject), kind: kindOfRollout(rollout).kind };
}
