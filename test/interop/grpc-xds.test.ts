// Applications whose gRPC library (grpc-js-xds) connects to the control plane itself.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { root } from "../support/lab-cluster.ts";

const timeoutMs = 300_000;

test(
  "grpc-js-xds resolves a service, balances over its pods, follows changes, and serves with mutual TLS and policies",
  { timeout: timeoutMs },
  () => {
    const { stdout, stderr } = spawnSync(
      join(root, "test/interop/mesh/in-namespace.sh"),
      [process.execPath, join(root, "test/interop/mesh/grpc-clients.ts"), "--json"],
      { encoding: "utf8", timeout: timeoutMs },
    );
    assert.equal(stdout.trim().split("\n").at(-1), '{"failed":0}', `${stdout}${stderr}`);
  },
);
