import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { truncated, userError } from "../../base/index.ts";
import type { Node } from "../../wire/discovery/index.ts";
import type { ProvenAccount } from "../ca/index.ts";
import { readProxyRegistration, type ProxyRegistration } from "./proxy-registration.ts";

/** The proxy at the other end of a discovery stream, as the node in its first request describes it. */
export interface ProxyIdentity {
  /**
   * The proxy as `pod.namespace`, as upstream's status tables name it. The namespace is the one for which the proxy is
   * authorized.
   */
  readonly id: string;
  readonly type: string;
  readonly address: string;
  /** The address from which the proxy connects. Empty if unknown. */
  readonly peer: string;
  readonly domain: string;
  readonly name: string;
  readonly namespace: string;
  readonly version: string;
  readonly node: string;
  readonly clusterId: string;
  /** The proxy's network. Empty if the proxy names none. */
  readonly network: string;
  /** The networks whose endpoints the proxy requests. Empty means all. */
  readonly networkView: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** The metadata of the proxy's node, as texts. EnvoyFilters may select proxies by it. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
  readonly hbone: boolean;
  /** Whether the proxy also sends HBONE (not with DISABLE_HBONE_SEND). */
  readonly sendsHbone: boolean;
  /** Whether the proxy requests the endpoints of its own workload (ENABLE_SELF_DISCOVERY). */
  readonly selfDiscovery: boolean;
  readonly dnsCapture: boolean;
  readonly envoy: boolean;
  /** Whether the proxy is an Envoy without Istio's filters. It would refuse configuration with them. */
  readonly stockEnvoy: boolean;
  readonly registration?: ProxyRegistration | undefined;
  /**
   * Whether the proxy accepts virtual hosts as separate resources. Serin's proxy always does, and an Envoy does if the
   * mesh config says so.
   */
  readonly virtualHostDiscovery: boolean;
  /**
   * Whether the proxy accepts the configuration of filters as separate resources. An Envoy always does, and so does
   * Serin's proxy unless it is older than this feature.
   */
  readonly extensionConfigDiscovery: boolean;
  /** Whether credentials have proven the proxy's namespace. Only such a proxy gets secrets. */
  readonly verified: boolean;
  /** The account of the proxy's credentials, whatever its node claims. */
  readonly account?: ProvenAccount;
}

/** The maximum length of all labels. A hundred labels of the maximum length for pods have a quarter of it. */
const maxNodeCharacters = 131_072;
/**
 * The maximum length of each text that is no label or other metadata. Names in Kubernetes have at most 253 characters.
 */
const maxTextCharacters = 512;
/**
 * The maximum length of a node id, which consists of four texts. These texts are parts of the id and so keep all of it
 * in memory.
 */
const maxIdCharacters = 2048;
/** The maximum number of networks, far more than a mesh has. */
const maxNetworks = 1000;
/** The memory of a label or a metadata field besides its characters. */
const bytesOfPair = 64;
/** The memory of a network's name besides its characters. */
const bytesOfNetwork = 32;

/** Reads `<type>~<address>~<pod>.<namespace>~<domain>` and the metadata that Istio's proxies send. */
export function readProxyIdentity(node: Node | undefined): ProxyIdentity {
  if (node === undefined) throw userError("bad-request", "the first request of a stream must carry its node");
  checkText("the node id", node.id, maxIdCharacters);
  const [type = "", address = "", fullName = "", domain = ""] = node.id.split("~");
  const dot = fullName.indexOf(".");
  if (domain === "" || dot <= 0) {
    throw userError(
      "bad-request",
      `the node id must be <type>~<address>~<pod>.<namespace>~<domain>, got "${truncated(node.id, maxTextCharacters)}"`,
    );
  }
  const metadata: JsonObject = node.metadata ?? {};
  const labels = recordOf(metadata["LABELS"]);
  const texts = recordOf(metadata);
  checkSize(node.id, labels, texts);
  checkCharacters(node.id, texts);
  for (const field of shortFields) checkText(`the metadata ${field}`, texts[field] ?? "");
  const { region = "", zone = "", subZone = "" } = node.locality ?? {};
  for (const [field, text] of Object.entries({ region, zone, subZone })) checkText(`the locality's ${field}`, text);
  const name = fullName.slice(0, dot);
  const namespace = textOf(metadata["NAMESPACE"]) ?? fullName.slice(dot + 1);
  return {
    id: fullName.endsWith(`.${namespace}`) ? fullName : `${name}.${namespace}`,
    type,
    address,
    peer: "",
    domain,
    name,
    namespace,
    version: textOf(metadata["ISTIO_VERSION"]) ?? "",
    node: textOf(metadata["NODE_NAME"]) ?? "",
    clusterId: textOf(metadata["CLUSTER_ID"]) ?? "Kubernetes",
    network: textOf(metadata["NETWORK"]) ?? "",
    networkView: readNetworkView(textOf(metadata["REQUESTED_NETWORK_VIEW"]) ?? ""),
    labels,
    metadata: texts,
    serviceAccount: textOf(metadata["SERVICE_ACCOUNT"]) ?? "",
    hbone: isTrue(metadata["ENABLE_HBONE"]),
    // Agents of gRPC libraries have the metadata of sidecars, but the libraries do not speak HBONE.
    sendsHbone:
      isTrue(metadata["ENABLE_HBONE"]) && !isTrue(metadata["DISABLE_HBONE_SEND"]) && metadata["GENERATOR"] !== "grpc",
    selfDiscovery: isTrue(metadata["ENABLE_SELF_DISCOVERY"]),
    dnsCapture: isTrue(metadata["DNS_CAPTURE"]),
    envoy: node.userAgentName === "envoy",
    stockEnvoy: isStockEnvoy(node),
    registration: readProxyRegistration(node),
    virtualHostDiscovery: isTrue(metadata["VIRTUAL_HOST_DISCOVERY"]),
    extensionConfigDiscovery: node.userAgentName === "envoy" || isTrue(metadata["EXTENSION_CONFIG_DISCOVERY"]),
    verified: false,
  };
}

/** Throws if the texts are too long: the control plane keeps them for each proxy, and the labels more than once. */
function checkSize(id: string, ...records: readonly Readonly<Record<string, string>>[]): void {
  const pairs = records.flatMap((record) => Object.entries(record));
  const characters = pairs.reduce((sum, [name, value]) => sum + name.length + value.length, id.length);
  if (characters <= maxNodeCharacters) return;
  throw userError(
    "bad-request",
    `the node's id, labels and metadata have ${characters} characters, at most ${maxNodeCharacters} are allowed`,
  );
}

/**
 * An estimate of the memory for the labels, metadata and networks, which a client chooses freely. Tens of thousands of
 * labels without values take fifteen times as many bytes as they have characters.
 */
export function bytesOfTexts({ labels, metadata, networkView }: ProxyIdentity): number {
  const pairs = [...Object.entries(labels), ...Object.entries(metadata)];
  return pairs.reduce(
    (sum, [name, value]) => sum + bytesOfPair + name.length + value.length,
    networkView.length * bytesOfNetwork,
  );
}

function checkText(name: string, text: string, max = maxTextCharacters): void {
  if (text.length > max)
    throw userError("bad-request", `${name} has ${text.length} characters, at most ${max} are allowed`);
}

function readNetworkView(text: string): readonly string[] {
  const networks = text
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  if (networks.length <= maxNetworks) return networks;
  throw userError(
    "bad-request",
    `the metadata REQUESTED_NETWORK_VIEW names ${networks.length} networks, at most ${maxNetworks} are allowed`,
  );
}

/** Lists of proxies show these fields. */
const shownFields = ["NAMESPACE", "ISTIO_VERSION", "NODE_NAME", "CLUSTER_ID", "NETWORK", "SERVICE_ACCOUNT"];
/** Fields whose values are names, which are short. */
const shortFields = [...shownFields, "AUTO_REGISTER_GROUP", "WORKLOAD_ENTRY"];

/**
 * Throws if a text that lists of proxies show contains a control character. Any client can choose these texts, and
 * users read them on a terminal.
 */
function checkCharacters(id: string, texts: Readonly<Record<string, string>>): void {
  const shown = [["the node id", id], ...shownFields.map((field) => [`the metadata ${field}`, texts[field] ?? ""])];
  const wrong = shown.find(([, text = ""]) => /\p{Cc}/u.test(text));
  if (wrong !== undefined)
    throw userError("bad-request", `${wrong[0] ?? ""} contains a control character, which no name has`);
}

/**
 * Whether the proxy is an Envoy without Istio's filters. An Envoy lists its extensions; Serin's proxy and ztunnels list
 * none.
 */
function isStockEnvoy(node: Node): boolean {
  return (
    node.userAgentName === "envoy" &&
    node.extensions.length > 0 &&
    !node.extensions.some((extension) => extension.name === "istio.stats")
  );
}

function textOf(value: JsonValue | undefined): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function isTrue(value: JsonValue | undefined): boolean {
  return value === true || value === "true" || value === "1";
}

function recordOf(value: JsonValue | undefined): Readonly<Record<string, string>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return {};
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
}
