import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { defineKind, groupVersionOf, serviceNameLabel, type UntypedObject } from "../../api/index.ts";
import {
  configMapKind,
  endpointsKind,
  endpointSliceKind,
  namespaceKind,
  serviceKind,
  storageClassKind,
} from "../../api/kubernetes/index.ts";
import { messageOf, userError, withArticle } from "../../base/index.ts";
import { isKubeCode, objectsInManifest, type KubeClient } from "../../kube/index.ts";
import { localVolumes, volumeAnnotations } from "../record/local-volumes.ts";
import type { ControllerContext } from "./controller.ts";

const fieldManager = "serin-bootstrap";
const recordName = "serin-bootstrap";

export interface BootstrapOptions {
  /** Files with CRDs in YAML or JSON. They are applied once, and again when their content changes. */
  readonly definitions: readonly string[];
  /** The address on which the name server listens. It becomes the endpoint of the Service `kube-dns`. */
  readonly dns: { readonly address: string; readonly port: number };
  readonly dnsServiceIP: string;
}

/**
 * How many CRDs are written at the same time, so that the API server always has the next one while it waits for the
 * disk or this process.
 */
const parallelDefinitions = 4;

/** Namespaces of the lab in addition to those of the API server. */
const namespaces = ["metallb-system"];

/**
 * The objects of a new lab: the DNS Service, the default StorageClass, MetalLB's namespace, the CRDs of MetalLB and the
 * Gateway API. Resolves when all of them exist.
 */
export function addBootstrap(context: ControllerContext, options: BootstrapOptions): Promise<void> {
  const steps = [...namespaces.map((name) => `namespace/${name}`), "dns", "storage", ...options.definitions];
  const missing = new Set(steps);
  const { promise, resolve } = Promise.withResolvers<void>();
  const bootstrap = async (step: string): Promise<void> => {
    if (step === "dns") await createDnsService(context.client, options);
    else if (step === "storage") await createStorageClass(context.client);
    else if (step.startsWith("namespace/")) await createNamespace(context.client, step.slice("namespace/".length));
    else await applyDefinitions(context, step);
    missing.delete(step);
    if (missing.size === 0) resolve();
  };
  // Apply one file at a time, because the digests of all applied files are stored in the same object.
  const queue = context.queue("bootstrap", bootstrap, { concurrency: 1 });
  for (const step of steps) queue.add(step);
  return promise;
}

/** The files with CRDs below a release's `manifests` directory. */
export function definitionFiles(manifestsDirectory: string): string[] {
  return ["metallb", "gateway-api-lab"].map((name) => join(manifestsDirectory, "crds", `${name}.yaml`));
}

async function createNamespace(client: KubeClient, name: string): Promise<void> {
  if ((await client.get(namespaceKind, name)) !== undefined) return;
  // Label the namespace, because `analyze` would otherwise report it to every user, although it belongs to the lab.
  await client.create(namespaceKind, { metadata: { name, labels: { "istio-injection": "disabled" } } });
}

/**
 * Creates the default StorageClass. As in kind, a volume is a directory on the node of the first pod that uses it. A
 * user's changes to the class are kept.
 */
async function createStorageClass(client: KubeClient): Promise<void> {
  if ((await client.get(storageClassKind, localVolumes.className)) !== undefined) return;
  await client.create(storageClassKind, {
    metadata: { name: localVolumes.className, annotations: { [volumeAnnotations.defaultClass]: "true" } },
    provisioner: localVolumes.provisioner,
    reclaimPolicy: "Delete",
    volumeBindingMode: "WaitForFirstConsumer",
  });
}

async function createDnsService(client: KubeClient, { dns, dnsServiceIP }: BootstrapOptions): Promise<void> {
  const metadata = { name: "kube-dns", namespace: "kube-system" };
  const labels = { "k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS" };
  const apply = { fieldManager, force: true };
  const ports = [
    { name: "dns", protocol: "UDP" as const, port: 53, targetPort: dns.port },
    { name: "dns-tcp", protocol: "TCP" as const, port: 53, targetPort: dns.port },
  ];
  await client.apply(
    serviceKind,
    { metadata: { ...metadata, labels }, spec: { type: "ClusterIP", clusterIP: dnsServiceIP, ports } },
    apply,
  );
  const endpointPorts = ports.map(({ name, protocol }) => ({ name, protocol, port: dns.port }));
  await client.apply(
    endpointSliceKind,
    {
      metadata: {
        ...metadata,
        labels: { [serviceNameLabel]: "kube-dns", "endpointslice.kubernetes.io/managed-by": fieldManager },
      },
      addressType: dns.address.includes(":") ? "IPv6" : "IPv4",
      endpoints: [{ addresses: [dns.address], conditions: { ready: true, serving: true, terminating: false } }],
      ports: endpointPorts,
    },
    apply,
  );
  await client.apply(
    endpointsKind,
    {
      // The label prevents mirroring: the EndpointSlice above already has the same addresses.
      metadata: { ...metadata, labels: { ...labels, "endpointslice.kubernetes.io/skip-mirror": "true" } },
      subsets: [{ addresses: [{ ip: dns.address }], ports: endpointPorts }],
    },
    apply,
  );
}

async function applyDefinitions(context: ControllerContext, path: string): Promise<void> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw userError("file-unreadable", `cannot read ${path}: ${messageOf(error)}`, {
      cause: error,
      hint: "the release tree is not complete; pass its manifests directory by --manifests",
    });
  });
  const digest = createHash("sha256").update(text).digest("hex");
  const key = path.replace(/^.*\//, "");
  const record = await context.client.get(configMapKind, recordName, "kube-system");
  // Skip a file that was already applied: parsing a megabyte of YAML takes longer than all other work here, and a user
  // may have changed the objects since.
  if (record?.data?.[key] === digest) return;
  let count = 0;
  const objects = objectsInManifest(text);
  const work = async (): Promise<void> => {
    for await (const object of objects) {
      await applyObject(context.client, object);
      count += 1;
      // Let watches and DNS run between documents.
      await nextTurn();
    }
  };
  await Promise.all(Array.from({ length: parallelDefinitions }, work));
  await context.client.apply(
    configMapKind,
    { metadata: { name: recordName, namespace: "kube-system" }, data: { ...record?.data, [key]: digest } },
    { fieldManager, force: true },
  );
  context.log.info("applied definitions", { file: key, objects: count });
}

/** Applies an object. The files contain only the kinds that are listed here. */
async function applyObject(client: KubeClient, object: UntypedObject): Promise<void> {
  const plurals: Readonly<Record<string, readonly [string, boolean]>> = {
    CustomResourceDefinition: ["customresourcedefinitions", false],
    Namespace: ["namespaces", false],
    ValidatingAdmissionPolicy: ["validatingadmissionpolicies", false],
    ValidatingAdmissionPolicyBinding: ["validatingadmissionpolicybindings", false],
  };
  const { kind = "", apiVersion = "" } = object;
  const [plural, namespaced] = plurals[kind] ?? [];
  const { group, version } = groupVersionOf(apiVersion);
  if (plural === undefined || namespaced === undefined)
    throw userError("file-invalid", `a definition file holds ${withArticle(kind)} of ${apiVersion}`, {
      hint: `it may hold: ${Object.keys(plurals).join(", ")}`,
    });
  try {
    await client.apply(defineKind<UntypedObject>({ group, versions: [version], kind, plural, namespaced }), object, {
      fieldManager,
      force: true,
    });
  } catch (error) {
    // Policies are optional: the cluster may lack their kind.
    if (!isKubeCode(error, "not-found") || kind === "CustomResourceDefinition") throw error;
  }
}
