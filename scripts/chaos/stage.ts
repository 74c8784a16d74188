// The lab for chaos: bookinfo and the echo services in an ambient mesh, with two pods of the gateway and two of istiod.
import { join } from "node:path";
import { revisionSpec } from "../demo/mesh-inputs.ts";
import { namespaces } from "../proofs/upgrade-proof/load-plans.ts";
import { gatewayService } from "../proofs/upgrade-proof/objects.ts";
import { revisions, versions, type Proof } from "../proofs/upgrade-proof/proof.ts";
import { allAvailable, deployApplications } from "../proofs/upgrade-proof/stage.ts";
import type { Chaos } from "./chaos.ts";
import { hangingWebhookAddress } from "./faults.ts";

/** Both revisions use the same release: this tree under another version's name. */
export const tag = versions.old;

/**
 * The time for which the API server stores an Event. The default of an hour is as long as a run, so the number of
 * Events, and the API server's memory, would grow until the run's end.
 */
const eventTtl = "5m";

/** Creates a lab that runs this tree, and the first revision's mesh with bookinfo and the echo services in it. */
export async function setChaosStage({ proof }: Chaos): Promise<void> {
  const { lab } = proof;
  await lab.create(["--event-ttl", eventTtl]);
  proof.note("a lab of one control plane node and two workers is ready");
  const install = async (spec: object): Promise<void> => {
    const operator = { apiVersion: "install.istio.io/v1alpha1", kind: "IstioOperator", spec };
    await lab.serin(["install", "-y", "-f", "-"], JSON.stringify(operator));
  };
  await Promise.all([
    install({ profile: "empty", tag, namespace: namespaces.mesh, components: { cni: { enabled: true } } }),
    install(revisionSpec(revisions.old, tag)),
  ]);
  await deployApplications(proof);
  const { host, port } = hangingWebhookAddress;
  lab.spawn([process.execPath, "-e", `require("node:net").createServer().listen(${port}, "${host}")`]);
  await allAvailable(proof);
  // With one pod, a restart would be an outage: for a gateway's users, and for new certificates from an istiod.
  for (const name of [gatewayService, `istiod-${revisions.old}`]) await doubled(proof, name);
  await allAvailable(proof);
  proof.note("the mesh and the applications are ready");
}

export async function doubled({ lab }: Proof, name: string): Promise<void> {
  const kubeconfig = join(lab.cluster.stateDirectory, "kubeconfig");
  const words = ["scale", "-n", namespaces.mesh, `deployment/${name}`, "--replicas=2"];
  await lab.cluster.ok(["kubectl", "--kubeconfig", kubeconfig, ...words]);
}
