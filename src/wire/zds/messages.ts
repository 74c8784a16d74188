import { userError } from "../../base/index.ts";

// ZDS: the protocol of the CNI agent and ztunnels, with one message in each packet. Fields from 100 on are Serin's own.

/** The first message, from the ztunnel. */
export interface ZdsHello {
  /** Always 1 so far. */
  readonly version: number;
  /** Empty if the ztunnel does not support revisions. */
  readonly revision: string;
  /**
   * Whether the ztunnel accepts listening sockets in addition to the namespace's descriptor, and returns them on
   * request.
   */
  readonly acceptsListeners: boolean;
}

export interface ZdsWorkload {
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** The role of a passed descriptor. `/6` means its IPv6 twin. */
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
   * The message carries the descriptor of the network namespace, and then one for each listener. If the ztunnel already
   * knows the uid, it closes the descriptors. `handedOver` means that another ztunnel serves the workload until the
   * answer, so the receiver must refuse what it cannot serve at once.
   */
  | {
      readonly type: "add";
      readonly uid: string;
      readonly workload: ZdsWorkload;
      readonly listeners: readonly ZdsListenerRole[];
      readonly handedOver: boolean;
    }
  /** The workload stays unchanged. With `returnListeners`, the answer carries the workload's descriptors. */
  | { readonly type: "keep"; readonly uid: string; readonly returnListeners: boolean }
  /** With `handedOver`, the ztunnel stops accepting and keeps live connections until they end. */
  | { readonly type: "delete"; readonly uid: string; readonly handedOver: boolean }
  /** The snapshot is complete. Workloads that it did not name are gone. */
  | { readonly type: "snapshot-sent" };

/** The answer to a request. Answers are in the order of the requests. */
export interface ZdsResponse {
  /** Empty on success. */
  readonly error: string;
  /**
   * The roles of the listeners whose descriptors follow that of the namespace, in the answer to `keep` with
   * `returnListeners`.
   */
  readonly listeners: readonly ZdsListenerRole[];
}

/** Parses the names of roles. Throws a user error for an unknown one. */
export function parseListenerRoles(names: readonly string[]): ZdsListenerRole[] {
  return names.map((name) => {
    const role = zdsListenerRoles.find((known) => known === name);
    if (role === undefined) throw userError("zds-invalid", `"${name}" is not a ZDS listener's role`);
    return role;
  });
}
