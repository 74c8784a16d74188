import { join } from "node:path";
import { fromBinary, toJson } from "@bufbuild/protobuf";
import { DiscoveryTestClient } from "../../../src/controlplane/serve/testing/discovery-client.ts";
import { envoyTypes } from "../../../src/controlplane/envoy-types-file.ts";
import { typeUrls } from "../../../src/wire/xds/index.ts";
import { startIstiod } from "./control-planes.ts";
import { readCorpus } from "./corpus.ts";
import { nodeId, nodeMetadata, sidecarNode, waypointNode } from "./nodes.ts";
import { applyCase, startTestMesh } from "./test-mesh.ts";

const mesh = await startTestMesh();
const istiod = await startIstiod("/work/main/.cache/interop/pilot-discovery", { directory: join(mesh.directory, "istiod"), kubeconfig: mesh.kubeconfig, meshConfig: mesh.meshConfig });
try {
  await new Promise((r) => setTimeout(r, 3000));
  for (const one of readCorpus("extensions/").filter(({ name }) => /wasm-plugin|extension-config/.test(name))) await applyCase(mesh, one);
  await new Promise((r) => setTimeout(r, 3000));
  const names = ["shop.authn", "shop.clients", "shop.connections", "mesh.all", "mesh.web"].map((n) => `extensions.istio.io/trafficextension/${n}~istio-translated-wasmplugin`).concat("discovered");
  const types = envoyTypes();
  const desc = types.mustHave("envoy.config.core.v3.TypedExtensionConfig");
  for (const node of [sidecarNode, waypointNode]) {
    const found: Record<string, string>[] = [];
    for (const port of [mesh.pilot.ports.grpc, istiod.ports.grpc]) {
      const client = new DiscoveryTestClient("delta", `127.0.0.1:${port}`, nodeId(node), { metadata: nodeMetadata(node, "1.31.0") as never, userAgentName: "envoy" });
      client.send({ typeUrl: typeUrls.extensionConfig, resourceNamesSubscribe: names });
      const response = await Promise.race([client.next(), new Promise<undefined>((r) => setTimeout(() => r(undefined), 5000))]);
      found.push(Object.fromEntries((response?.resources ?? []).map(({ name, resource }) => [name, JSON.stringify(toJson(desc, fromBinary(desc, resource!.value), { registry: types.registry }))])));
      client.close();
    }
    const [ours = {}, theirs = {}] = found;
    for (const name of new Set([...Object.keys(ours), ...Object.keys(theirs)])) console.log(node.role, name, ours[name] === theirs[name] ? "SAME" : `\n  serin  ${ours[name]}\n  istiod ${theirs[name]}`);
  }
} finally { istiod.stop(); mesh.stop(); }
process.exit(0);
