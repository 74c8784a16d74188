import assert from "node:assert/strict";
import { test } from "node:test";
import { nearestName } from "./nearest-name.ts";

test("the nearest known name is found despite a typo, a swap, another case or a longer form, and a stranger has none", () => {
  const known = ["pilot", "cni", "ztunnel", "env", "ingressGateways"];
  assert.deepEqual(
    ["pilots", "piolt", "CNI", "ztunel", "environment", "ingressGateway", "mixer"].map((name) =>
      nearestName(name, known),
    ),
    ["pilot", "pilot", "cni", "ztunnel", "env", "ingressGateways", undefined],
  );
});
