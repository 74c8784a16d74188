import { counted, messageOf, truncated } from "../../base/index.ts";
import type { ConnectedProxy } from "../../api/serin/index.ts";
import type { CheckObservation, SettleState } from "../decide/index.ts";
import { notConcerned, reasonCharacters } from "./acknowledgements.ts";
import type { ClusterView } from "./cluster-view.ts";
import { servedProxies } from "./served-proxies.ts";
import { reportersOf } from "./trusted-reporters.ts";

function rejectedBy({ id, types }: ConnectedProxy): readonly string[] {
  return Object.entries(types).flatMap(([typeUrl, { reason }]) =>
    reason === null
      ? []
      : [`${id} rejected ${typeUrl.slice(typeUrl.lastIndexOf("/") + 1)}: ${truncated(reason, reasonCharacters)}`],
  );
}

interface Rejections {
  readonly count: number;
  /** The first rejection of a concerned proxy, which fails the check. */
  readonly decisive: string | undefined;
  readonly other: string | undefined;
}

async function rejectionsOf(
  view: ClusterView,
  revision: string,
  concerned: readonly string[] | undefined,
): Promise<Rejections> {
  const { isConcerned, asksOthers } = reportersOf(view, concerned);
  const served = await servedProxies(view, revision);
  const own = served.filter(({ namespace }) => isConcerned(namespace));
  const others = asksOthers ? served.filter(({ namespace }) => !isConcerned(namespace)) : [];
  const [decisive] = own.flatMap(rejectedBy);
  const [other] = others.flatMap(rejectedBy);
  return { count: own.length + others.length, decisive, other };
}

function acceptedText(revision: string, { count, other }: Rejections): string {
  return other === undefined
    ? `${counted(count, "proxy", "proxies")} of ${revision}, none has rejected anything`
    : `${counted(count, "proxy", "proxies")} of ${revision}, none of the concerned ones has rejected anything; ${other} (${notConcerned})`;
}

/**
 * Whether a concerned proxy of the revision's control plane has rejected something. The evidence also shows rejections
 * by other proxies, which decide nothing. Without `concerned`, all namespaces are concerned.
 */
export async function observeRejections(
  view: ClusterView,
  revision: string,
  concerned?: readonly string[],
): Promise<CheckObservation> {
  try {
    const found = await rejectionsOf(view, revision, concerned);
    if (found.decisive !== undefined) return { type: "verdict", verdict: "fail", evidence: found.decisive };
    if (found.count === 0)
      return { type: "verdict", verdict: "wait", evidence: `no proxy is connected to ${revision}` };
    return { type: "verdict", verdict: "pass", evidence: acceptedText(revision, found) };
  } catch (error) {
    return { type: "unavailable", detail: messageOf(error) };
  }
}

/**
 * Fails if a concerned proxy has rejected something. A rejection by another proxy is only noted. If the control plane
 * does not answer, the condition is met.
 */
export async function observeNotRejected(
  view: ClusterView,
  revision: string,
  concerned: readonly string[],
): Promise<SettleState> {
  const found = await rejectionsOf(view, revision, concerned).catch(() => undefined);
  if (found?.decisive !== undefined) return { state: "failed", detail: found.decisive };
  return found?.other === undefined ? { state: "met" } : { state: "met", note: acceptedText(revision, found) };
}
