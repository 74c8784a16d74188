import { firstNames } from "../../base/index.ts";
import type { PauseReason } from "../../api/serin/index.ts";
import { isRivalOf, type Contender } from "./contender.ts";

export interface Blocker {
  readonly reason: Extract<PauseReason, "freeze" | "rollout" | "limit" | "group" | "group-failed">;
  /** The freeze, rollout or group that blocks. Absent if the reason is none of these. */
  readonly by?: string;
  readonly text: string;
}

export interface BlockersInput {
  readonly self: Contender;
  /** All rollouts, including `self`. */
  readonly all: readonly Contender[];
  readonly freezes: readonly Blocker[];
  /**
   * How many runs may be under way at once. A group counts as one run. If each member counted, a person who may create
   * Canaries in one namespace only could use up the limit with one group, and keep all other rollouts from beginning.
   */
  readonly maxConcurrent: number;
}

const namesShown = 5;

/**
 * Why a rollout may not begin its next step now. Empty if it may. If rollouts want the same namespace or target, the
 * one that has it continues. If none has it, one that has begun gets it. If none has begun, the oldest gets it. No
 * deadlock is possible, because a rollout that has begun waits only for others that have begun: a canary takes all of
 * its namespaces at once, a mesh upgrade holds none between two steps, a group takes those of all its members together,
 * and no rollout waits for a member that itself waits for another rollout's namespace.
 */
export function blockers(input: BlockersInput): readonly Blocker[] {
  const { self, freezes } = input;
  return [
    ...freezes,
    ...(self.underWay ? [] : beginBlockers(input)),
    ...namespaceBlockers(input),
    ...lockstepBlockers(input),
  ];
}

function beginBlockers({ self, all, maxConcurrent }: BlockersInput): Blocker[] {
  const others = all.filter((other) => other.key !== self.key);
  const held: Blocker[] = [];
  if (self.kind === "MeshUpgrade") {
    const first = others.find(
      (other) => other.kind === "MeshUpgrade" && ((other.underWay && !other.lingers) || goesBefore(other, self)),
    );
    if (first !== undefined) held.push(behind(first, `${first.key} goes first: only one MeshUpgrade at a time`));
  }
  const rival = others.find((other) => isRivalOf(other, self) && (other.underWay || goesBefore(other, self)));
  if (rival !== undefined && self.kind === "Canary") held.push(behind(rival, `${rival.key} moves the same target`));
  const partner = groupOf(self, others).find(({ phase }) => phase === "RollingBack" || phase === "RolledBack");
  if (partner !== undefined)
    held.push({
      reason: "group-failed",
      by: partner.key,
      text: `group ${self.group ?? ""}: ${partner.key} was rolled back; change it, or take it out of the group`,
    });
  const underWay = others.filter((other) => other.underWay && !other.lingers);
  const runs = new Set(underWay.map(({ key, group }) => (group === undefined ? key : `group ${group}`))).size;
  if (runs >= maxConcurrent && !groupOf(self, others).some((other) => other.underWay)) {
    held.push({
      reason: "limit",
      text: `${runs} rollouts are under way, the limit is ${maxConcurrent}: ${listed(underWay)}${whoWaits(underWay)}`,
    });
  }
  return held;
}

function behind(other: Contender, text: string): Blocker {
  return { reason: "rollout", by: other.key, text: `${text}${whatHolds(other)}` };
}

function whatHolds(other: Contender): string {
  if (waitsForPerson(other)) return `, and is ${untilSomebodyActs(other)}`;
  return other.phase === "Waiting" ? `, and waits itself (serin ${statusCommand(other)})` : "";
}

function whoWaits(others: readonly Contender[]): string {
  const waiting = others.filter(waitsForPerson);
  const [first] = waiting;
  if (first === undefined) return "";
  const more = waiting.length > 1 ? `, and so are ${waiting.length - 1} more` : "";
  return `; ${first.key} is ${untilSomebodyActs(first)}${more}`;
}

function waitsForPerson({ phase, isStuck }: Contender): boolean {
  return phase === "Paused" || phase === "Stuck" || isStuck === true;
}

function untilSomebodyActs(other: Contender): string {
  const phase = other.isStuck === true ? "Stuck" : other.phase;
  return `${phase} until a person acts (serin ${statusCommand(other)})`;
}

function statusCommand({ kind, name, namespace }: Contender): string {
  return kind === "Canary" ? `canary status ${name} -n ${namespace ?? ""}` : `upgrade status ${name}`;
}

/**
 * Blocks this rollout while others hold a namespace that it takes. Before its run begins, it also waits behind others
 * that wait for the same namespace: rollouts that have begun, and older ones.
 */
function namespaceBlockers({ self, all }: BlockersInput): Blocker[] {
  const partners = groupOf(self, all);
  const joins = partners.some(({ underWay }) => underWay);
  const wanted = new Set([
    ...self.wants,
    ...(self.underWay ? [] : partners.filter(({ wantsToBegin }) => wantsToBegin).flatMap(({ wants }) => wants)),
  ]);
  for (const held of self.holds) wanted.delete(held);
  if (wanted.size === 0) return [];
  return all.flatMap((other) => {
    if (other.key === self.key || sameGroup(self, other)) return [];
    const holds =
      other.holds.find((name) => wanted.has(name)) ?? heldForGroup(other, all).find((name) => wanted.has(name));
    if (holds !== undefined) return [behind(other, `${other.key} has reserved namespace ${holds}`)];
    // A rollout that has begun does not wait for one that has not. Otherwise both might wait for each other.
    if (self.underWay || joins) return [];
    const first = (other.underWay && other.phase === "Waiting") || (isWaiting(other, all) && isOlder(other, self));
    const before = first ? other.wants.find((name) => wanted.has(name)) : undefined;
    return before === undefined ? [] : [behind(other, `${other.key} came first and waits for namespace ${before}`)];
  });
}

/**
 * The namespaces that a member of a running group is about to take. They count as held, because the member begins at
 * once. Empty while another rollout keeps this member from beginning.
 */
function heldForGroup(other: Contender, all: readonly Contender[]): readonly string[] {
  const begins = other.wantsToBegin && groupOf(other, all).some((partner) => partner.underWay);
  return begins && !isHeldByOthers(other, all) ? other.wants : [];
}

/**
 * Whether another rollout moves the same target, or a rollout of another group holds a namespace that this one takes.
 */
function isHeldByOthers(self: Contender, all: readonly Contender[]): boolean {
  return all.some((other) => {
    if (other.key === self.key) return false;
    const isRival = other.underWay && !other.lingers && isRivalOf(other, self);
    return isRival || (!sameGroup(self, other) && other.holds.some((name) => self.wants.includes(name)));
  });
}

/**
 * Whether the rollout waits to begin. A rollout whose group has a rolled back member waits for a person instead, and
 * delays no other rollout.
 */
function isWaiting(other: Contender, all: readonly Contender[]): boolean {
  return other.wantsToBegin && !groupOf(other, all).some(isPutBack);
}

function lockstepBlockers({ self, all }: BlockersInput): Blocker[] {
  const { nextOrdinal, group } = self;
  if (group === undefined || nextOrdinal === undefined) return [];
  const late = groupOf(self, all).filter((other) => {
    // A member whose change is gone, because its Deployment has rolled out by itself, has no step to reach.
    if (other.done) return false;
    // A member that a full promotion takes past this step begins at a later one. It waits for this rollout instead.
    if (other.wantsToBegin)
      return !isHeldByOthers(other, all) && self.underWay && (other.nextOrdinal ?? nextOrdinal) <= nextOrdinal;
    if (!other.underWay || other.nextOrdinal === undefined) return false;
    return other.nextOrdinal < nextOrdinal;
  });
  if (late.length === 0) return [];
  const text = `group ${group}: ${listed(late)} ${late.length === 1 ? "has" : "have"} not reached step ${nextOrdinal}${whoWaits(late)}`;
  return [{ reason: "group", by: group, text }];
}

export interface GroupView {
  /** Says which member of the run was rolled back. Set if this rollout must be rolled back too. */
  readonly failed?: string;
  /**
   * The members that still have steps, as a text for people. No member completes before all members have done their
   * steps.
   */
  readonly notDone: readonly string[];
  /** The members of the run that have not begun their undo yet, as a text for people. */
  readonly notFollowing: readonly string[];
  readonly run: string;
}

export function groupView(self: Contender, all: readonly Contender[]): GroupView | undefined {
  if (self.group === undefined) return undefined;
  const partners = groupOf(self, all);
  const active = partners.filter(({ underWay }) => underWay);
  // A run cannot begin beside a rolled back member. So a member that is rolled back during the run was rolled back in
  // this run.
  const failed = partners.find(
    (other) => isPutBack(other) && (self.underWay || (self.groupRun !== undefined && other.groupRun === self.groupRun)),
  );
  const runs = active.flatMap(({ groupRun }) => (groupRun === undefined ? [] : [groupRun]));
  const own = self.groupRun ?? self.key;
  return {
    ...(failed === undefined ? {} : { failed: `group ${self.group}: ${failed.key} was rolled back` }),
    notDone: [
      ...active.filter((other) => !other.done && !isPutBack(other)),
      ...partners.filter((other) => isWaiting(other, all) && !isHeldByOthers(other, all)),
    ].map(named),
    notFollowing: partners
      .filter(
        (other) =>
          !isPutBack(other) && (other.underWay || other.phase === "Completed") && other.groupRun === self.groupRun,
      )
      .map(named),
    run: [own, ...runs].toSorted()[0] ?? own,
  };
}

function named(member: Contender): string {
  return waitsForPerson(member) ? `${member.key}, which is ${untilSomebodyActs(member)}` : member.key;
}

function isPutBack({ phase }: Contender): boolean {
  return phase === "RollingBack" || phase === "RolledBack";
}

function groupOf(self: Contender, all: readonly Contender[]): Contender[] {
  return all.filter((other) => other.key !== self.key && sameGroup(self, other));
}

function sameGroup(a: Contender, b: Contender): boolean {
  return a.group !== undefined && a.group === b.group;
}

function goesBefore(other: Contender, self: Contender): boolean {
  return other.wantsToBegin && !self.underWay && isOlder(other, self);
}

function isOlder(other: Contender, self: Contender): boolean {
  return other.createdAtMs === self.createdAtMs ? other.key < self.key : other.createdAtMs < self.createdAtMs;
}

function listed(others: readonly Contender[]): string {
  return firstNames(
    others.map(({ key }) => key),
    namesShown,
  );
}
