import type { ErrorCode, ErrorKind } from "../../base/index.ts";

/** A message from the process that creates the cluster to the launcher: the state directory is complete. */
export interface CreationMessage {
  readonly type: "prepared";
}

/** A message from the supervisor to the launcher over Node's IPC channel. */
export type LauncherRequest =
  | { readonly type: "ready" }
  | {
      readonly type: "failed";
      readonly kind: ErrorKind;
      readonly code: ErrorCode;
      readonly message: string;
      readonly hint: string | undefined;
    }
  /** Requests a listening socket on the host's loopback. The search for a free port begins at `port`. */
  | {
      readonly type: "listen";
      readonly id: number;
      readonly purpose: "api-server" | "forward";
      readonly address: string;
      readonly port: number;
    };

/** A message from the launcher to the supervisor. The socket is sent with `listening`. */
export type LauncherReply =
  | { readonly type: "listening"; readonly id: number; readonly address: string; readonly port: number }
  | { readonly type: "refused"; readonly id: number; readonly message: string };
