import assert from "node:assert/strict";
import { test } from "node:test";
import { unknownArguments } from "./control-plane-options.ts";

test("arguments that neither Serin nor istiod knows are named, and istiod's are not", () => {
  const chart = [
    "discovery",
    "--monitoringAddr=:15014",
    "--log_output_level=default:info",
    "--domain",
    "cluster.local",
    "--keepaliveMaxServerConnectionAge",
    "30m",
  ];
  assert.deepEqual(unknownArguments(chart), []);
  assert.deepEqual(unknownArguments(["bogus", "--shadow", "--httpAdr=:1", "--domain=x", "stray", "-x"]), [
    "bogus",
    "--httpAdr=:1",
    "stray",
    "-x",
  ]);
});
