import assert from "node:assert/strict";
import { test } from "node:test";
import { profiles, renderInstall, resolveSettings } from "../../install/index.ts";
import { dataPlanes, gatewayKinds } from "./sim-mesh.ts";
import { simulateUpgrade, upgradeMatrix } from "./upgrade-matrix.ts";

test("the matrix has every data plane with every kind of gateway, with namespaces by revision and by tag, with a new revision that the upgrade installs or that exists before, and with operators", () => {
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
  for (const dataPlane of dataPlanes) {
    const own = cells.filter((cell) => cell.dataPlane === dataPlane);
    assert.ok(
      own.some(({ egress }) => egress === true),
      `${dataPlane} with two gateways of the installation`,
    );
    assert.ok(
      own.some(({ kubeInject }) => kubeInject === true),
      `${dataPlane} with a sidecar of kube-inject`,
    );
    const operated = own.filter(({ operator }) => operator === "IstioOperator");
    for (const by of ["revision", "tag"])
      for (const installs of [true, false])
        assert.ok(
          operated.some((cell) => cell.by === by && cell.installs === installs),
          `${dataPlane} of an IstioOperator, by ${by}`,
        );
  }
  for (const dataPlane of ["sidecar", "none"])
    assert.ok(
      cells.some((cell) => cell.dataPlane === dataPlane && cell.operator === "Istio" && cell.stranger),
      `${dataPlane} of Banzai's operator, with a gateway that a person moves`,
    );
});

/** The parts of a profile's installation that an upgrade moves. */
function movedOf(profile: string) {
  const settings = resolveSettings({ specs: [{ profile }] }, { hub: "hub", tag: "1.0.0" }).value;
  assert.ok(settings !== undefined, profile);
  const objects = renderInstall(settings, { istio: [], rollout: [] }).components.flatMap(({ objects }) => objects);
  const named = (kind: string, app: RegExp): number =>
    objects.filter((object) => object.kind === kind && app.test(object.metadata.labels?.["app"] ?? "")).length;
  return {
    istiods: named("Deployment", /^istiod$/),
    ambient: named("DaemonSet", /^ztunnel$/) > 0,
    gateways: named("Deployment", /gateway$/),
  };
}

test("every built-in profile that installs a control plane is a cell of the matrix, for every data plane that it can have", () => {
  const cells = upgradeMatrix();
  const withoutControlPlane: string[] = [];
  for (const profile of Object.keys(profiles)) {
    const { istiods, ambient, gateways } = movedOf(profile);
    if (istiods === 0) {
      withoutControlPlane.push(profile);
      continue;
    }
    for (const dataPlane of ambient ? dataPlanes : (["sidecar", "none"] as const))
      for (const by of ["revision", "tag"])
        for (const installs of [true, false])
          assert.ok(
            cells.some(
              (cell) =>
                cell.dataPlane === dataPlane &&
                cell.by === by &&
                cell.installs === installs &&
                (gateways === 0
                  ? cell.gateways.length === 0
                  : cell.gateways.includes("operator") && (cell.egress === true) === gateways > 1),
            ),
            `${profile}: ${dataPlane}, ${gateways} gateways, by ${by}`,
          );
  }
  // These profiles have their control plane outside the cluster or in another installation, which an upgrade moves
  // instead.
  assert.deepEqual(withoutControlPlane, ["empty", "remote"]);
});

/**
 * Only every seventh mesh is tested here. `npm run sim -- --matrix` tests all of them. Seven has no divisor in common
 * with the periods by which the matrix varies its meshes, so every variation is tested.
 */
const everySo = 7;

test("upgrades of the matrix complete, and roll back from a step and from the end, and no gateway is ever without a pod", () => {
  const failures = upgradeMatrix()
    .filter((_cell, index) => index % everySo === 0)
    .flatMap((cell, index) => simulateUpgrade(cell, (step) => step % 5 === index % 5).failures);
  assert.deepEqual(failures, []);
});
