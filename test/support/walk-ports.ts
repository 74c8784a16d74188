// Walks the table of ports in docs/security.md, in a mesh of the profile ambient, in a lab or a real cluster.
import { expectedCallsByRow, walkedKey, walkedPort } from "./expected-calls.ts";
import { eventually } from "./eventually.ts";
import { listeningSockets, processWithAddress } from "./listening-sockets.ts";
import { askRows, callFrom, compareRows, compareSockets } from "./port-walk.ts";
import { portsTable } from "./ports-table.ts";
import type { MachineProcess } from "./processes.ts";

export interface WalkedPod {
  readonly namespace: string;
  readonly selector: string;
}

export interface WalkedMesh {
  /** Runs a line with kubectl in a shell. It must succeed. Returns its output. */
  readonly ok: (line: string) => Promise<string>;
  readonly processes: () => readonly MachineProcess[];
  /** The rows whose ports this mesh does not open. */
  readonly elsewhere: ReadonlySet<string>;
  readonly sleepImage: string;
  /** A pod that a ztunnel captures, and one that calls it. */
  readonly captured: WalkedPod;
  readonly inside: WalkedPod;
  /** A pod in another namespace of the mesh, which calls the captured pod too. */
  readonly another: WalkedPod;
  readonly waypoint: WalkedPod;
  /** The addresses of the node that is called, and of the one that calls. */
  readonly nodes: { readonly called: string; readonly calling: string };
}

const outside = "walked-outside";
const injected = "walked-injected";

/** Two namespaces with a sleeping pod each: one outside the mesh, and one with a sidecar. */
function sleepers(image: string): readonly object[] {
  return [
    { name: outside, labels: {} },
    { name: injected, labels: { "istio-injection": "enabled" } },
  ].flatMap(({ name, labels }) => [
    { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } },
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "sleep", namespace: name },
      spec: {
        selector: { matchLabels: { app: "sleep" } },
        template: {
          metadata: { labels: { app: "sleep" } },
          spec: {
            terminationGracePeriodSeconds: 0,
            containers: [
              { name: "sleep", image, command: ["/bin/sleep", "infinity"], imagePullPolicy: "IfNotPresent" },
            ],
          },
        },
      },
    },
  ]);
}

/**
 * Throws for a listening port without a row, and for an answer that the table does not allow. Returns the number of
 * rows that were called.
 */
export async function walkPorts(mesh: WalkedMesh): Promise<number> {
  const { ok, elsewhere } = mesh;
  const token = async (namespace: string, account: string): Promise<string> =>
    (await ok(`kubectl create token -n ${namespace} ${account} --audience istio-ca`)).trim();
  await apply(ok, [...sleepers(mesh.sleepImage), ...(await walkedKey(Date.now()))]);
  for (const namespace of [outside, injected])
    await ok(`kubectl rollout status -n ${namespace} deploy/sleep --timeout=90s`);
  const { addresses, from } = await placesOf(mesh);
  await eventually("the gateway has its listener", () =>
    listeningSockets(mesh.processes()).some(({ port }) => port === walkedPort),
  );
  const processes = mesh.processes();
  const [rows, sockets] = [portsTable(), listeningSockets(processes)];
  compareSockets(rows, sockets, [walkedPort]);
  compareRows(rows, sockets, elsewhere);
  const tokens = {
    gateway: await token("istio-system", "istio-ingressgateway-service-account"),
    workload: await token("default", "default"),
  };
  const expectedCalls = new Map([...expectedCallsByRow(tokens)].filter(([row]) => !elsewhere.has(row)));
  await askRows(rows, { expectedCalls, elsewhere }, addresses, async (caller, target, calls) => {
    const place = caller === "the own pod" ? addresses[target as keyof typeof addresses] : from[caller];
    return await callFrom(processWithAddress(processes, place), calls);
  });
  await ok(
    `kubectl delete --wait=false namespace/${outside} namespace/${injected} && kubectl delete -n istio-system secret/walked gateways.networking.istio.io/walked`,
  );
  return expectedCalls.size;
}

async function apply(ok: WalkedMesh["ok"], objects: readonly object[]): Promise<void> {
  // One document, because kubectl 1.32 fails at the second of several JSON documents.
  const list = JSON.stringify({ apiVersion: "v1", kind: "List", items: objects });
  await ok(`kubectl apply -f - <<'EOF'\n${list}\nEOF`);
}

async function placesOf({ ok, captured, inside, another, waypoint, nodes }: WalkedMesh): Promise<{
  readonly addresses: Readonly<
    Record<"sidecar" | "captured" | "waypoint" | "gateway" | "istiod" | "ztunnel" | "engine" | "node", string>
  >;
  readonly from: Readonly<Record<"a pod outside" | "a pod inside" | "another namespace" | "the node", string>>;
}> {
  const address = async ({ namespace, selector }: WalkedPod): Promise<string> =>
    (await ok(`kubectl get pods -n ${namespace} -l '${selector}' -o jsonpath='{.items[0].status.podIP}'`)).trim();
  const system = async (selector: string): Promise<string> => await address({ namespace: "istio-system", selector });
  const sleeper = async (namespace: string): Promise<string> => await address({ namespace, selector: "app=sleep" });
  return {
    addresses: {
      sidecar: await sleeper(injected),
      captured: await address(captured),
      waypoint: await address(waypoint),
      gateway: await system("istio=ingressgateway"),
      istiod: await system("app=istiod"),
      ztunnel: await system("app=ztunnel"),
      engine: await address({ namespace: "serin-system", selector: "app=serin-rollout" }),
      node: nodes.called,
    },
    from: {
      "a pod outside": await sleeper(outside),
      "a pod inside": await address(inside),
      "another namespace": await address(another),
      "the node": nodes.calling,
    },
  };
}
