import assert from "node:assert/strict";
import { test } from "node:test";
import { transientError } from "../../base/index.ts";
import { networkError } from "../../net/index.ts";
import { flagOf } from "./outbound.ts";

test("the flag of a failed connection comes from the error's code", () => {
  const hbone = { protocol: "HBONE" } as const;
  const tcp = { protocol: "TCP" } as const;
  const expired = networkError("connect", Object.assign(new Error("no"), { code: "CERT_HAS_EXPIRED" }));
  assert.deepEqual(
    [
      flagOf(transientError("certificate-wait", "no"), hbone),
      flagOf(transientError("http2-failed", "no"), hbone),
      flagOf(transientError("http-status", "503"), hbone),
      flagOf(transientError("peer-identity", "no"), hbone),
      flagOf(expired, hbone),
      flagOf(transientError("timeout", "no"), hbone),
      flagOf(transientError("timeout", "TLS is only a word here"), tcp),
      flagOf(new Error("no"), tcp),
    ],
    [
      "IDENTITY_ERROR",
      "H2_HANDSHAKE_FAILURE",
      "H2_HANDSHAKE_FAILURE",
      "TLS_FAILURE",
      "TLS_FAILURE",
      "NETWORK_POLICY",
      "CONNECT",
      "CONNECT",
    ],
  );
});
