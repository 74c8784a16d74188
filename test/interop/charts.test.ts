// Helm 3 and 4 with the charts, in the lab's own API server.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { kubectls } from "../support/kubectls.ts";
import { Walkthrough } from "../support/walkthrough.ts";
import { useCharts } from "./charts.ts";

const [kubectl] = kubectls().slice(-1);

describe("the lab", () => {
  assert.ok(kubectl);
  const walkthrough = new Walkthrough("interop-charts", kubectl);
  before(async () => {
    const created = await walkthrough.lab.create();
    assert.equal(created.code, 0, created.output);
  });
  after(async () => await walkthrough.lab.delete());
  for (const major of ["3", "4"] as const)
    void test(
      `helm ${major} installs, upgrades and uninstalls the charts`,
      walkthrough.step(`helm ${major}`, async () => await useCharts(walkthrough, major)),
    );
});
