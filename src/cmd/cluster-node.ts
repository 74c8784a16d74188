import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { envPart, programVariables, systemClock, userError } from "../base/index.ts";
import type { ImageEntry } from "../cluster/images/index.ts";
import { kubernetesVersion, readClusterRecord } from "../cluster/record/index.ts";
import {
  kubeletPort,
  KubeletServer,
  NodeAgent,
  readMemoryBytes,
  readProcessTable,
  UsageSampler,
} from "../cluster/node/index.ts";
import { createKubeClient, loadKubeConfig } from "../kube/index.ts";
import type { RoleContext } from "./role.ts";

/**
 * `serin cluster-node --state-dir DIR --name NODE`: one node of the lab. The supervisor starts it in the node's network
 * namespace.
 */
export async function run({ args, env, log, shutdown, release }: RoleContext): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: { "state-dir": { type: "string" }, name: { type: "string" } },
  });
  const stateDirectory = values["state-dir"] ?? "";
  const record = readClusterRecord(stateDirectory);
  const node = record?.nodes.find((candidate) => candidate.name === values.name);
  if (node === undefined)
    throw userError("object-missing", `there is no node "${values.name}" in ${stateDirectory}/cluster.json`, {
      hint: "only the lab's supervisor starts this role",
    });
  const pki = join(stateDirectory, "pki");
  const config = await loadKubeConfig(join(pki, `node-${node.name}.kubeconfig`));
  const client = createKubeClient(config, { log, clock: systemClock, userAgent: `kubelet/${kubernetesVersion} serin` });
  const agent = new NodeAgent({
    node,
    tainted: node.role === "control-plane" && (record?.nodes.length ?? 0) > 1,
    stateDirectory,
    client,
    images: JSON.parse(readFileSync(join(stateDirectory, "images.json"), "utf8")) as ImageEntry[],
    compileCache: env["NODE_COMPILE_CACHE"],
    release,
    programEnvironment: envPart(env, programVariables),
    version: release.version,
    clock: systemClock,
    log: log.scoped(node.name),
    nodes: record?.nodes ?? [],
    onLoadBalancers: (loadBalancers) => {
      if (process.connected) process.send?.({ loadBalancers });
    },
  });
  // Without the supervisor, this process has no purpose. The pods are the lab's, and continue.
  process.once("disconnect", () => process.exit(0));
  const sampler = new UsageSampler({
    clock: systemClock,
    processes: readProcessTable,
    memoryBytes: readMemoryBytes,
    containers: () => agent.runningContainers(),
    ownPid: process.pid,
  });
  const server = new KubeletServer({
    address: node.address,
    port: kubeletPort,
    certificate: readFileSync(join(pki, `nodes/${node.name}.crt`), "utf8"),
    key: readFileSync(join(pki, `nodes/${node.name}.key`), "utf8"),
    clientCa: readFileSync(join(pki, "ca.crt"), "utf8"),
    nodeName: node.name,
    worker: (key) => agent.worker(key),
    workers: () => agent.workers(),
    usage: async () => await sampler.usage(),
    log,
  });
  const serving = server.run(shutdown.drain, () => undefined);
  await agent.run(shutdown.drain, () => process.send?.({ ready: true }));
  await serving;
  client.close();
  return 0;
}
