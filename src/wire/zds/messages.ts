import { userError } from "../../base/index.ts";

/** ZDS: what the CNI agent and a ztunnel say to each other, one message a packet. Fields of 100 and above are ours. */

/** The first message, from the ztunnel. */
export interface ZdsHello {
  /** 1 is the only one so far. */
  readonly version: number;
  /** Empty from a ztunnel that knows nothing of revisions. */
  readonly revision: string;
  /** Takes listening sockets beside the namespace's descriptor, and hands them back on request. */
  readonly acceptsListeners: boolean;
}

export interface ZdsWorkload {
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** Which socket a passed descriptor is; `/6` is its IPv6 twin. */
export const zdsListenerRoles = [
  "outbound",
  "outbound/6",
  "inbound-plaintext",
  "inbound-plaintext/6",
  "inbound-hbone",
  "inbound-hbone/6",
  "dns-udp",
  "dns-udp/6",
  "dns-tcp",
  "dns-tcp/6",
] as const;
export type ZdsListenerRole = (typeof zdsListenerRoles)[number];

export type ZdsRequest =
  /**
   * With the descriptor of the network namespace, then one for each listener. For a known uid the descriptors are
   * closed.
   */
  | {
      readonly type: "add";
      readonly uid: string;
      readonly workload: ZdsWorkload;
      readonly listeners: readonly ZdsListenerRole[];
    }
  /** The workload stays as it is; with `returnListeners` the answer carries its descriptors. */
  | { readonly type: "keep"; readonly uid: string; readonly returnListeners: boolean }
  /** With `handedOver`: stop accepting, keep live connections until they end. */
  | { readonly type: "delete"; readonly uid: string; readonly handedOver: boolean }
  /** Everything has been sent. What was not named is gone. */
  | { readonly type: "snapshot-sent" };

/** The answer to every request, in order. */
export interface ZdsResponse {
  /** Empty when all is well. */
  readonly error: string;
  /** The answer to `keep` with `returnListeners`: the roles of the descriptors after the namespace's. */
  readonly listeners: readonly ZdsListenerRole[];
}

/** The roles of a list of names; throws a user error for one that is none. */
export function parseListenerRoles(names: readonly string[]): ZdsListenerRole[] {
  return names.map((name) => {
    const role = zdsListenerRoles.find((known) => known === name);
    if (role === undefined) throw userError("zds-invalid", `"${name}" is not a ZDS listener's role`);
    return role;
  });
}
