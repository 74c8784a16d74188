import type { ErrorKind } from "../../base/index.ts";

/** Supervisor -> launcher, over Node's IPC channel. */
export type LauncherRequest =
  | { readonly type: "ready" }
  | {
      readonly type: "failed";
      readonly kind: ErrorKind;
      readonly code: string;
      readonly message: string;
      readonly hint: string | undefined;
    }
  /** A listening socket on the host's loopback; `port` is where the search for a free one begins. */
  | {
      readonly type: "listen";
      readonly id: number;
      readonly purpose: "api-server" | "forward";
      readonly address: string;
      readonly port: number;
    };

/** Launcher -> supervisor; `listening` carries the socket. */
export type LauncherReply =
  | { readonly type: "listening"; readonly id: number; readonly address: string; readonly port: number }
  | { readonly type: "refused"; readonly id: number; readonly message: string };
