import assert from "node:assert/strict";
import { test } from "node:test";
import { dataPlanes, gatewayKinds } from "./sim-mesh.ts";
import { simulateCell, upgradeMatrix } from "./upgrade-matrix.ts";

test("the matrix has every data plane with every kind of gateway, by revision and by tag, from the upgrade and from before", () => {
  const cells = upgradeMatrix();
  for (const dataPlane of dataPlanes)
    for (const kind of gatewayKinds)
      for (const by of ["revision", "tag"])
        for (const installs of [true, false])
          assert.ok(
            cells.some(
              (cell) =>
                cell.dataPlane === dataPlane &&
                cell.gateways.includes(kind) &&
                cell.by === by &&
                cell.installs === installs,
            ),
            `${dataPlane} ${kind} ${by}`,
          );
  for (const dataPlane of dataPlanes)
    assert.ok(
      cells.some((cell) => cell.dataPlane === dataPlane && cell.egress === true),
      `${dataPlane} with two gateways of the installation`,
    );
});

/** Tests every third mesh. `npm run sim -- --matrix` tests all of them. */
const everySo = 3;

test("upgrades of the matrix complete, and roll back from a step and from the end, and no gateway is ever without a pod", () => {
  const failures = upgradeMatrix()
    .filter((_cell, index) => index % everySo === 0)
    .flatMap((cell, index) => simulateCell(cell, (step) => step % 5 === index % 5).failures);
  assert.deepEqual(failures, []);
});
