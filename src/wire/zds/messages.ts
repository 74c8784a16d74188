import { userError } from "../../base/index.ts";

// ZDS: the protocol between the CNI agent and ztunnels, with one message in each packet. Fields from 100 on are Serin's
// own.

/** The first message, which the ztunnel sends. */
export interface ZdsHello {
  /** Always 1. */
  readonly version: number;
  /** Empty if the ztunnel knows no revisions. */
  readonly revision: string;
  /**
   * Whether the ztunnel accepts listening sockets together with the namespace's descriptor, and returns them on
   * request.
   */
  readonly acceptsListeners: boolean;
}

export interface ZdsWorkload {
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** The role of a listener's descriptor. `/6` is the listener for IPv6. */
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
   * With the message come the descriptor of the network namespace, and one for each listener. If the ztunnel already
   * has the uid, it closes them. `handedOver` means that another ztunnel serves the workload until the answer, so the
   * receiver must refuse what it cannot serve at once.
   */
  | {
      readonly type: "add";
      readonly uid: string;
      readonly workload: ZdsWorkload;
      readonly listeners: readonly ZdsListenerRole[];
      readonly handedOver: boolean;
    }
  /**
   * The ztunnel keeps the workload as it is. With `returnListeners`, the workload's descriptors come with the answer.
   */
  | { readonly type: "keep"; readonly uid: string; readonly returnListeners: boolean }
  /** With `handedOver`, the ztunnel accepts no more connections, and keeps those that live until they end. */
  | { readonly type: "delete"; readonly uid: string; readonly handedOver: boolean }
  /** The snapshot is complete. The ztunnel drops the workloads that it did not name. */
  | { readonly type: "snapshot-sent" };

export interface ZdsResponse {
  /** Empty on success. */
  readonly error: string;
  /**
   * The roles of the listeners whose descriptors follow the namespace's, if the answer is to `keep` with
   * `returnListeners`.
   */
  readonly listeners: readonly ZdsListenerRole[];
}

/** Throws a user error for an unknown role. */
export function parseListenerRoles(names: readonly string[]): ZdsListenerRole[] {
  return names.map((name) => {
    const role = zdsListenerRoles.find((known) => known === name);
    if (role === undefined) throw userError("zds-invalid", `"${name}" is not a ZDS listener's role`);
    return role;
  });
}
