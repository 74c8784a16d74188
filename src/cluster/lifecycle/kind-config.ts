import { isIP } from "node:net";
import type * as Yaml from "yaml";
import { loadPackage, userError } from "../../base/index.ts";
import { labNetwork, type ClusterNode, type ClusterRecord } from "../record/index.ts";

/**
 * Loads the YAML parser only to create a cluster, so that other commands, such as `cluster shell`, start in two thirds
 * of the time.
 */
const yaml = (): typeof Yaml => loadPackage<typeof Yaml>("yaml");

export type ClusterPlan = Pick<ClusterRecord, "name" | "nodes" | "apiServer">;

export interface ParsedKindConfig {
  readonly plan: ClusterPlan;
  /** Messages about fields that are accepted but have another effect than in kind. */
  readonly warnings: readonly string[];
}

const defaultName = "kind";
const apiVersion = "kind.x-k8s.io/v1alpha4";
const namePattern = /^[a-z0-9][a-z0-9.-]{0,39}$/;
const namesExpected = '1 to 40 lower case letters, digits, "-" and ".", the first one a letter or a digit';

interface Problem {
  readonly line: number;
  readonly text: string;
}

/** Fields of kind that have no counterpart in the lab. Each gets a warning. */
const ignoredFields: Readonly<Record<string, string>> = {
  featureGates: "the lab's API server has no feature gates",
  runtimeConfig: "the lab serves every API that it has",
  kubeadmConfigPatches: "no kubeadm runs here",
  kubeadmConfigPatchesJSON6902: "no kubeadm runs here",
  containerdConfigPatches: "no containerd runs here",
  containerdConfigPatchesJSON6902: "no containerd runs here",
  image: "nodes run the release's own programs",
  extraMounts: "a node's host directory is below the cluster's state directory",
  extraPortMappings: "serin cluster urls lists the loopback addresses of LoadBalancer services",
  podSubnet: `pods always are in ${labNetwork.podRange}/16`,
  serviceSubnet: `services always are in ${labNetwork.serviceCidr}`,
  disableDefaultCNI: "the lab's pod network is always on",
  kubeProxyMode: "services always use nftables",
  dnsSearch: "the lab resolves no names outside of it",
};
const knownTop = [
  "kind",
  "apiVersion",
  "name",
  "nodes",
  "networking",
  "featureGates",
  "runtimeConfig",
  "kubeadmConfigPatches",
  "kubeadmConfigPatchesJSON6902",
  "containerdConfigPatches",
  "containerdConfigPatchesJSON6902",
];
const knownNode = [
  "role",
  "labels",
  "image",
  "extraMounts",
  "extraPortMappings",
  "kubeadmConfigPatches",
  "kubeadmConfigPatchesJSON6902",
];
const knownNetworking = [
  "ipFamily",
  "apiServerAddress",
  "apiServerPort",
  "podSubnet",
  "serviceSubnet",
  "disableDefaultCNI",
  "kubeProxyMode",
  "dnsSearch",
];

/** The maximum number of characters of the YAML parser's message that an error quotes. */
const maxFaultCharacters = 200;

/**
 * Reads kind's configuration, a `Cluster` of v1alpha4. Without a text, returns kind's default: one control plane node.
 * `name` is the value of the flag --name, which overrides the file's name. Throws a single user error that names every
 * wrong line and field, and what was expected.
 */
export function parseKindConfig(
  text: string | undefined,
  options: { readonly name?: string; readonly source?: string } = {},
): ParsedKindConfig {
  if (options.name !== undefined && !namePattern.test(options.name))
    throw userError("usage", `--name must be ${namesExpected}, got "${options.name}"`);
  const reader = new ConfigReader(text ?? "", options.source ?? "cluster config");
  const plan = reader.read(options.name);
  reader.throwIfBad();
  return { plan, warnings: reader.warnings };
}

class ConfigReader {
  readonly warnings: string[] = [];
  readonly #problems: Problem[] = [];
  readonly #lines = new (yaml().LineCounter)();
  readonly #source: string;
  readonly #text: string;

  constructor(text: string, source: string) {
    this.#text = text;
    this.#source = source;
  }

  read(overridingName: string | undefined): ClusterPlan {
    const document = yaml().parseDocument(this.#text, { lineCounter: this.#lines, prettyErrors: false });
    const [syntax] = document.errors;
    if (syntax !== undefined) {
      // Report only the first error, because later ones follow from it. Cut its message, because it may quote the rest
      // of the file.
      const fault = (syntax.message.split("\n")[0] ?? "").slice(0, maxFaultCharacters);
      this.#problems.push({ line: this.#lines.linePos(syntax.pos[0]).line, text: `this is not valid YAML: ${fault}` });
    }
    this.throwIfBad();
    const top = this.#fields(document.contents, "the file", knownTop);
    if (top.size > 0) {
      this.#expect(top, "kind", "Cluster");
      this.#expect(top, "apiVersion", apiVersion);
    }
    const name = overridingName ?? this.#string(top, "name") ?? defaultName;
    if (!namePattern.test(name) && overridingName === undefined)
      this.#problem(top.get("name"), `name: "${name}" must be ${namesExpected}`);
    const networking = this.#fields(top.get("networking")?.value, "networking", knownNetworking);
    const apiServer = this.#apiServer(networking);
    const family = this.#string(networking, "ipFamily");
    if (family !== undefined && family !== "ipv4")
      this.warnings.push(`networking.ipFamily: ${family} is not supported; the cluster is ipv4`);
    return { name, nodes: this.#nodes(top.get("nodes"), name), apiServer };
  }

  throwIfBad(): void {
    if (this.#problems.length === 0) return;
    const list = this.#problems.map((problem) => `${this.#source}:${problem.line}: ${problem.text}`).join("\n");
    throw userError("file-invalid", list, {
      hint: `use the format of kind: https://kind.sigs.k8s.io/docs/user/configuration (${apiVersion})`,
    });
  }

  #apiServer(networking: Map<string, Yaml.Pair>): ClusterPlan["apiServer"] {
    const requested = this.#string(networking, "apiServerAddress");
    let address: string = labNetwork.hostLoopback;
    if (requested !== undefined && isIP(requested) === 4 && requested.startsWith("127.")) address = requested;
    else if (requested !== undefined && isIP(requested) === 0)
      this.#problem(
        networking.get("apiServerAddress"),
        `networking.apiServerAddress: "${requested}" is not an IP address`,
      );
    else if (requested !== undefined) {
      this.warnings.push(
        `networking.apiServerAddress: ${requested} is not in 127.0.0.0/8; the API server listens on ${address} instead`,
      );
    }
    const portPair = networking.get("apiServerPort");
    const port = valueOf(portPair) ?? 0;
    if (typeof port !== "number" || !Number.isInteger(port) || port < -1 || port > 65_535) {
      this.#problem(
        portPair,
        `networking.apiServerPort: must be an integer from 0 to 65535, got ${JSON.stringify(port)}`,
      );
      return { address, port: labNetwork.apiServerPort, portIsFixed: false };
    }
    // Refuse a port below 1024, because only root may bind it on the host. In kind, 0 and -1 mean any port.
    if (port > 0 && port < 1024)
      this.#problem(portPair, `networking.apiServerPort: ${port} needs root on this machine; use a port above 1023`);
    // On another address than the requested one, the port is only a preference, because another lab may use it there.
    const isMeantFor = requested === undefined || requested === address;
    return port <= 0
      ? { address, port: labNetwork.apiServerPort, portIsFixed: false }
      : { address, port, portIsFixed: isMeantFor };
  }

  #nodes(pair: Yaml.Pair | undefined, clusterName: string): ClusterNode[] {
    const value = pair?.value;
    const items: unknown[] = yaml().isSeq(value) ? value.items : [];
    if (pair !== undefined && !yaml().isSeq(value)) this.#problem(pair, "nodes: must be a list");
    const roles: { role: ClusterNode["role"]; labels: Record<string, string> }[] = [];
    for (const [index, item] of items.entries()) {
      const fields = this.#fields(item, `nodes[${index}]`, knownNode);
      const role = this.#string(fields, "role") ?? "control-plane";
      if (role !== "control-plane" && role !== "worker") {
        this.#problem(fields.get("role"), `nodes[${index}].role: must be control-plane or worker, got "${role}"`);
        continue;
      }
      roles.push({ role, labels: this.#labels(fields.get("labels"), `nodes[${index}].labels`) });
    }
    if (roles.length === 0) roles.push({ role: "control-plane", labels: {} });
    const controlPlanes = roles.filter((node) => node.role === "control-plane").length;
    if (controlPlanes !== 1) this.#problem(pair, `nodes: exactly one control-plane is supported, got ${controlPlanes}`);
    if (roles.length > labNetwork.maxNodes)
      this.#problem(pair, `nodes: at most ${labNetwork.maxNodes}, got ${roles.length}`);
    // kind lists control planes first, and numbers workers from the second one on.
    const ordered = [
      ...roles.filter((node) => node.role === "control-plane"),
      ...roles.filter((node) => node.role === "worker"),
    ];
    let workers = 0;
    return ordered.map((node, index) => {
      if (node.role === "worker") workers += 1;
      const suffix = node.role === "control-plane" ? "control-plane" : `worker${workers === 1 ? "" : workers}`;
      return {
        name: `${clusterName}-${suffix}`,
        ...node,
        address: labNetwork.nodeAddress(index),
        podCidr: labNetwork.podCidr(index),
      };
    });
  }

  #labels(pair: Yaml.Pair | undefined, path: string): Record<string, string> {
    const labels: Record<string, string> = {};
    if (pair === undefined) return labels;
    if (!yaml().isMap(pair.value)) {
      this.#problem(pair, `${path}: must be a map`);
      return labels;
    }
    for (const item of pair.value.items) {
      const value = valueOf(item);
      if (typeof value === "string") labels[String(yaml().isScalar(item.key) ? item.key.value : item.key)] = value;
      else
        this.#problem(
          item,
          `${path}: the value of "${String(item.key)}" must be a string, got ${JSON.stringify(value)}`,
        );
    }
    return labels;
  }

  /**
   * The fields of a map. Reports fields that kind does not know, and warns about fields that have no effect in the lab.
   */
  #fields(node: unknown, path: string, known: readonly string[]): Map<string, Yaml.Pair> {
    const fields = new Map<string, Yaml.Pair>();
    if (node === undefined || node === null || (yaml().isScalar(node) && node.value === null)) return fields;
    if (!yaml().isMap(node)) {
      this.#problems.push({ line: this.#lineOf(node), text: `${path}: must be a map` });
      return fields;
    }
    for (const item of node.items) {
      if (!yaml().isPair(item)) continue;
      const key = String(yaml().isScalar(item.key) ? item.key.value : item.key);
      const place = path === "the file" ? key : `${path}.${key}`;
      if (!known.includes(key)) this.#problem(item, `${place}: unknown field; expected one of ${known.join(", ")}`);
      else if (Object.hasOwn(ignoredFields, key)) this.warnings.push(`${place} is ignored: ${ignoredFields[key]}`);
      fields.set(key, item);
    }
    return fields;
  }

  #string(fields: Map<string, Yaml.Pair>, name: string): string | undefined {
    const pair = fields.get(name);
    const value = valueOf(pair);
    if (value === undefined || value === null) return undefined;
    if (typeof value === "string") return value;
    this.#problem(pair, `${name}: must be a string, got ${JSON.stringify(value)}`);
    return undefined;
  }

  #expect(fields: Map<string, Yaml.Pair>, name: string, wanted: string): void {
    const text = this.#string(fields, name);
    if (text !== wanted)
      this.#problem(
        fields.get(name),
        `${name}: must be ${wanted}, got ${text === undefined ? "nothing" : `"${text}"`}`,
      );
  }

  #problem(pair: Yaml.Pair | undefined, text: string): void {
    this.#problems.push({ line: this.#lineOf(pair?.key), text });
  }

  #lineOf(node: unknown): number {
    const range = (node as Yaml.Node | undefined)?.range;
    return range === undefined || range === null ? 1 : this.#lines.linePos(range[0]).line;
  }
}

function valueOf(pair: Yaml.Pair | undefined): unknown {
  return yaml().isScalar(pair?.value) ? pair.value.value : (pair?.value ?? undefined);
}
