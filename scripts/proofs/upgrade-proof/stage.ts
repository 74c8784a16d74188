// Prepares a lab, a mesh of the old revision, applications in ambient and sidecar namespaces, and the load, which runs
// to the end.
import type { ChildProcess } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hurryFile } from "../../../samples/load-generator/load-plan.ts";
import { deploymentKind, serviceKind } from "../../../src/api/kubernetes/index.ts";
import type { UntypedObject } from "../../../src/api/index.ts";
import { systemClock } from "../../../src/base/index.ts";
import { readObjects } from "../../demo/lab.ts";
import { revisionSpec } from "../../demo/mesh-inputs.ts";
import { limitedEnd } from "../limited-end.ts";
import { ambientPlan, gatewayPlan, namespaces, sidecarPlan, type LoadScale } from "./load-plans.ts";
import {
  canaryObjects,
  disruptionBudget,
  gatewayObjects,
  gatewayService,
  generatorObjects,
  imageCatalogue,
  namespaceObjects,
  reviewsRoute,
  shopObjects,
  waypointObjects,
} from "./objects.ts";
import { revisions, versions, type Proof } from "./proof.ts";
import { root } from "./proof-lab.ts";

const stageTimeoutMs = 180_000;
const firstRequests = 200;
const preStopSeconds = 3;
const graceSeconds = 15;

/**
 * Creates the lab, and installs the mesh and the applications. `releases` are the versions that the lab must be able to
 * run.
 */
export async function setStage(proof: Proof, releases: readonly string[] = Object.values(versions)): Promise<void> {
  const { lab } = proof;
  const isShort = proof.scale.rate < 1;
  if (isShort) await lab.createWithTwoNodes();
  else await lab.create();
  writeFileSync(join(lab.cluster.stateDirectory, "images.yaml"), imageCatalogue);
  proof.note(`a lab of ${isShort ? "two nodes" : "one control plane node and two workers"} is ready`);
  await Promise.all(releases.map(async (version) => await lab.addRelease(version)));
  const operator = (spec: object): string =>
    JSON.stringify({ apiVersion: "install.istio.io/v1alpha1", kind: "IstioOperator", spec });
  const cni = {
    profile: "empty",
    tag: versions.old,
    namespace: namespaces.mesh,
    components: { cni: { enabled: true } },
  };
  await Promise.all([
    lab.serin(["install", "-y", "-f", "-"], operator(cni)),
    lab.serin(["install", "-y", "-f", "-"], operator(revisionSpec(revisions.old, versions.old, proof.workers?.[0]))),
  ]);
  await lab.serin(["tag", "set", "default", "--revision", revisions.old, "-y"]);
  proof.note(`the mesh has revision ${revisions.old}`);
  await deployApplications(proof);
  await allAvailable(proof);
  proof.note("the applications are ready");
}

export async function deployApplications({ lab, ambientOnly }: Proof): Promise<void> {
  const { api } = lab;
  const { shop, echoes, sidecarClients, sidecarServers } = namespaces;
  await api.apply(namespaceObjects(revisions.old));
  if (!ambientOnly) {
    await api.apply(waypointObjects());
    await api.apply(reviewsRoute(), shop);
  }
  await Promise.all([
    api.apply(shopObjects(!ambientOnly), shop),
    api.apply(canaryObjects(), shop),
    ...["samples/grpc-echo/grpc-echo.yaml", "samples/streams/streams.yaml"].map(
      async (file) => await api.apply(file, echoes),
    ),
  ]);
  const app = "samples/canary/app-b.yaml";
  if (ambientOnly) await api.apply(inNamespace(app, echoes));
  else {
    for (const file of [app, "samples/grpc-echo/grpc-echo.yaml", "samples/streams/streams.yaml"])
      await api.apply(readObjects(file).map(withPreStop).map(withSpare), sidecarServers);
    await api.apply([
      disruptionBudget(),
      { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "load-generator", namespace: sidecarClients } },
    ]);
  }
  await api.apply(gatewayObjects(!ambientOnly));
}

/**
 * Adds a preStop hook, so that the pod still serves for a moment after its deletion. Applications whose clients keep
 * connections open need this.
 */
function withPreStop(object: UntypedObject): UntypedObject {
  if (object.kind !== "Deployment") return object;
  const spec = object["spec"] as { template: { spec: { containers: readonly object[] } } };
  const containers = spec.template.spec.containers.map((container) => ({
    ...container,
    lifecycle: { preStop: { sleep: { seconds: preStopSeconds } } },
  }));
  const pod = { ...spec.template.spec, terminationGracePeriodSeconds: graceSeconds, containers };
  return { ...object, spec: { ...spec, template: { ...spec.template, spec: pod } } };
}

/** Adds a second pod to the application whose disruption budget spares one. */
function withSpare(object: UntypedObject): UntypedObject {
  if (object.kind !== "Deployment" || object.metadata.name !== "app-b") return object;
  return { ...object, spec: { ...(object["spec"] as object), replicas: 2 } };
}

function inNamespace(file: string, namespace: string): UntypedObject[] {
  return readObjects(file).map((object) => ({ ...object, metadata: { ...object.metadata, namespace } }));
}

export async function allAvailable({ lab, signal }: Proof): Promise<void> {
  await lab.api.until(
    "every Deployment is available",
    async () => {
      signal.throwIfAborted();
      const { items } = await lab.api.client.list(deploymentKind);
      return items.every(({ spec, status }) => (status?.availableReplicas ?? 0) >= (spec?.replicas ?? 1))
        ? true
        : undefined;
    },
    stageTimeoutMs,
  );
}

export class ConstantLoad {
  readonly #gateway: ChildProcess;
  readonly #ended: Promise<void>;

  private constructor(gateway: ChildProcess) {
    this.#gateway = gateway;
    this.#ended = new Promise((resolve) => gateway.on("close", () => resolve()));
  }

  static async begin(proof: Proof): Promise<ConstantLoad> {
    const { lab, scale, ambientOnly } = proof;
    const address = await gatewayAddress(proof);
    await lab.api.until("the gateway routes to every application", async () => await leadsEverywhere(proof, address));
    await lab.api.apply(generatorObjects(ambientPlan(scale, !ambientOnly)), namespaces.echoes);
    if (!ambientOnly) await lab.api.apply(generatorObjects(sidecarPlan(scale)), namespaces.sidecarClients);
    const program = join(root, "samples/load-generator/load-generator.ts");
    const child = lab.spawn([
      process.execPath,
      program,
      JSON.stringify(gatewayPlan(address, lab.hostReportDirectory, scale)),
    ]);
    child.stderr?.on("data", (chunk: Buffer) => proof.note(`load generator: ${chunk.toString("utf8").trim()}`));
    const load = new ConstantLoad(child);
    await allAvailable(proof);
    await moreRequests(proof, firstRequests);
    return load;
  }

  /** Stops the generator that is outside the mesh, and waits until it has ended. */
  async stop(): Promise<void> {
    this.#gateway.stdin?.end();
    await limitedEnd("the load generator outside the lab", this.#ended);
  }
}

/** Waits until the gateway has an address, and returns it. */
export async function gatewayAddress({ lab }: Proof): Promise<string> {
  return await lab.api.until("the gateway has an address", async () => {
    const service = await lab.api.client.get(serviceKind, gatewayService, namespaces.mesh);
    return service?.status?.loadBalancer?.ingress?.[0]?.ip;
  });
}

async function leadsEverywhere({ lab, signal }: Proof, address: string): Promise<true | undefined> {
  signal.throwIfAborted();
  const commands = ["/productpage", "/echo", "/download?seconds=1"].map(
    (path) => `curl -s -m 3 -o /dev/null -w '%{http_code} ' http://${address}${path}`,
  );
  const { output } = await lab.cluster.shell(commands.join("; "));
  return output.trim() === "200 200 200" ? true : undefined;
}

/**
 * Returns the factor by which generators send faster when they hurry. In the short proof, they then reach a third of
 * the full rate. They never exceed the full rate.
 */
const hurryFactor = ({ rate }: LoadScale): number => Math.min(7, 1 / rate);

/**
 * Resolves when this many more requests have been sent. With less than the full load, the generators send faster
 * meanwhile, because nothing else happens: 1,300 requests take 12 s instead of 64 s.
 */
export async function moreRequests(proof: Proof, count: number, silenceMs = 60_000): Promise<void> {
  if (count <= 0) return;
  const files = proof.scale.rate < 1 ? hurryFiles(proof) : [];
  try {
    for (const file of files) writeFileSync(file, String(hurryFactor(proof.scale)));
    await untilSent(proof, count, silenceMs);
  } finally {
    for (const file of files) rmSync(file, { force: true });
  }
}

/** Returns the files that make the generators hurry. A node on which no generator has run has no report directory. */
function hurryFiles({ lab }: Proof): string[] {
  return lab
    .reportDirectories()
    .filter((directory) => existsSync(directory))
    .map((directory) => join(directory, hurryFile));
}

async function untilSent({ reports, signal }: Proof, count: number, silenceMs: number): Promise<void> {
  const wanted = reports.totals.requests + count;
  let last = 0;
  let lastAtMs = performance.now();
  for (;;) {
    signal.throwIfAborted();
    const { requests } = reports.totals;
    if (requests >= wanted) return;
    if (requests > last) lastAtMs = performance.now();
    last = requests;
    if (performance.now() - lastAtMs > silenceMs)
      throw new Error(`the generators have sent nothing for ${silenceMs / 1000} s`);
    await systemClock.sleep(100, signal);
  }
}
