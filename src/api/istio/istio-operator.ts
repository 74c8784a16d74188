import { definedFields, isDnsLabel } from "../../base/index.ts";
import { Reader } from "../reader.ts";
import type { KubernetesObject } from "../meta.ts";
import type { Parsed } from "../parsed.ts";

/** install.istio.io/v1alpha1 IstioOperator: what `install` reads from files, as upstream's operator API defines it. */
export interface IstioOperator extends KubernetesObject {
  spec: IstioOperatorSpec;
}

/** All fields are optional in a file. The profile provides missing ones (see `install/`). */
export interface IstioOperatorSpec {
  readonly profile?: string;
  readonly hub?: string;
  readonly tag?: string;
  readonly namespace?: string;
  readonly revision?: string;
  readonly compatibilityVersion?: string;
  readonly meshConfig?: Readonly<Record<string, unknown>>;
  readonly components?: IstioComponents;
  readonly values?: Readonly<Record<string, unknown>>;
}

export interface IstioComponents {
  readonly base?: ComponentSpec;
  readonly pilot?: ComponentSpec;
  readonly cni?: ComponentSpec;
  readonly ztunnel?: ComponentSpec;
  readonly ingressGateways?: readonly GatewaySpec[];
  readonly egressGateways?: readonly GatewaySpec[];
}

export interface ComponentSpec {
  readonly enabled?: boolean;
  readonly namespace?: string;
  readonly hub?: string;
  readonly tag?: string;
  readonly k8s?: KubernetesSettings;
}

export interface GatewaySpec extends ComponentSpec {
  readonly name: string;
  readonly label?: Readonly<Record<string, string>>;
}

/** Settings of Kubernetes that are merged into the component's workload. */
export interface KubernetesSettings {
  readonly replicaCount?: number;
  readonly nodeSelector?: Readonly<Record<string, string>>;
  readonly env?: readonly UntypedEntry[];
  readonly resources?: UntypedEntry;
  readonly tolerations?: readonly UntypedEntry[];
  readonly affinity?: UntypedEntry;
  readonly podAnnotations?: Readonly<Record<string, string>>;
  readonly serviceAnnotations?: Readonly<Record<string, string>>;
  readonly service?: UntypedEntry;
  readonly strategy?: UntypedEntry;
  readonly hpaSpec?: UntypedEntry;
  readonly podDisruptionBudget?: UntypedEntry;
  readonly imagePullPolicy?: string;
  readonly priorityClassName?: string;
  readonly readinessProbe?: UntypedEntry;
  readonly securityContext?: UntypedEntry;
  readonly volumes?: readonly UntypedEntry[];
  readonly volumeMounts?: readonly UntypedEntry[];
  readonly overlays?: readonly Overlay[];
}

type UntypedEntry = Readonly<Record<string, unknown>>;

/**
 * A patch to one object that a component renders. A `path` looks like `metadata.name` or
 * `spec.containers.[name:discovery].args`.
 */
export interface Overlay {
  readonly apiVersion?: string;
  readonly kind: string;
  readonly name: string;
  readonly patches: readonly { readonly path: string; readonly value: unknown }[];
}

const apiVersion = "install.istio.io/v1alpha1";

/** Reads an IstioOperator object. Without a `kind`, `raw` is the bare spec that `--set` builds up. */
export function parseIstioOperator(raw: unknown): Parsed<IstioOperator> {
  const reader = new Reader(raw);
  const kind = reader.string("kind");
  const version = reader.string("apiVersion");
  if (kind !== undefined && kind !== "IstioOperator") reader.error(`must be IstioOperator, got "${kind}"`, "kind");
  if (version !== undefined && version !== apiVersion)
    reader.error(`must be ${apiVersion}, got "${version}"`, "apiVersion");
  const metadata = reader.object("metadata");
  const name = metadata?.string("name");
  const namespace = metadata?.string("namespace");
  const spec = reader.object("spec");
  reader.ignore("status");
  reader.unknownFields();
  const parsed = spec === undefined ? {} : parseSpec(spec);
  return reader.finish(() => ({
    apiVersion,
    kind: "IstioOperator",
    metadata: definedFields({ name: name ?? "installed-state", namespace }),
    spec: parsed,
  }));
}

function parseSpec(spec: Reader): IstioOperatorSpec {
  const revision = spec.string("revision");
  if (revision !== undefined && !isDnsLabel(revision)) {
    spec.error(
      `must be lower-case letters, digits and dashes (a DNS label), got "${revision}"; write dots as dashes: 1-18-1`,
      "revision",
    );
  }
  const components = spec.object("components");
  const result = definedFields({
    profile: spec.string("profile"),
    hub: spec.string("hub"),
    tag: tagOf(spec),
    namespace: spec.string("namespace"),
    revision,
    compatibilityVersion: spec.string("compatibilityVersion"),
    meshConfig: spec.freeForm("meshConfig"),
    components: components === undefined ? undefined : parseComponents(components),
    values: spec.freeForm("values"),
  });
  spec.ignore("installPackagePath", "unvalidatedValues");
  warnOfRemovedFields(spec, {
    addonComponents: 7,
    resourceSuffix: 9,
    k8s: 5,
    featureObservability: 4,
    trafficManagement: 4,
    policy: 4,
    telemetry: 4,
    security: 4,
    configManagement: 4,
    autoInjection: 4,
    gateways: 4,
    cni: 4,
  });
  spec.unknownFields();
  return result;
}

/** Warns of fields that Istio has removed. The numbers are the last minor releases of Istio that read the fields. */
function warnOfRemovedFields(reader: Reader, fields: Readonly<Record<string, number>>): void {
  for (const [field, until] of Object.entries(fields)) {
    if (reader.has(field)) reader.warn(`has no effect: Istio 1.${until} was the last release that read it`, field);
  }
}

/** Reads the tag. YAML parses an unquoted tag such as 1.18 as a number. */
function tagOf(reader: Reader): string | undefined {
  const raw = (reader.raw as { tag?: unknown } | undefined)?.tag;
  if (typeof raw === "number") {
    reader.ignore("tag");
    reader.warn(`is a number in YAML; write it in quotes: "${raw}"`, "tag");
    return String(raw);
  }
  return reader.string("tag");
}

function parseComponents(components: Reader): IstioComponents {
  const component = (field: string): ComponentSpec | undefined => {
    const reader = components.object(field);
    if (reader === undefined) return undefined;
    const parsed = parseComponent(reader);
    reader.unknownFields();
    return parsed;
  };
  const gateways = (field: string): readonly GatewaySpec[] | undefined => {
    if (!components.has(field)) return undefined;
    return components.list(field).map((gateway) => {
      const name = gateway.required("name", gateway.string("name")) ?? "";
      const label = gateway.has("label") ? gateway.stringMap("label") : undefined;
      const parsed = parseComponent(gateway);
      gateway.unknownFields();
      return definedFields({ ...parsed, name, label });
    });
  };
  const result = definedFields({
    base: component("base"),
    pilot: component("pilot"),
    cni: component("cni"),
    ztunnel: component("ztunnel"),
    ingressGateways: gateways("ingressGateways"),
    egressGateways: gateways("egressGateways"),
  });
  if (components.object("istiodRemote")?.boolean("enabled") === true) {
    components.error(
      "is no longer read: use profile=remote, and set values.global.remotePilotAddress to the address of its control plane",
      "istiodRemote.enabled",
    );
  }
  warnOfRemovedFields(components, {
    policy: 7,
    telemetry: 7,
    citadel: 6,
    galley: 6,
    sidecarInjector: 6,
    nodeAgent: 5,
    certManager: 5,
    proxy: 6,
  });
  components.unknownFields();
  return result;
}

function parseComponent(component: Reader): ComponentSpec {
  const k8s = component.object("k8s");
  return definedFields({
    enabled: component.boolean("enabled"),
    namespace: component.string("namespace"),
    hub: component.string("hub"),
    tag: tagOf(component),
    k8s: k8s === undefined ? undefined : parseSettings(k8s),
  });
}

function parseSettings(k8s: Reader): KubernetesSettings {
  const entry = (field: string): UntypedEntry | undefined => k8s.object(field)?.raw as UntypedEntry | undefined;
  const entries = (field: string): readonly UntypedEntry[] | undefined =>
    k8s.has(field) ? k8s.list(field).map((item) => item.raw as UntypedEntry) : undefined;
  const result = definedFields({
    replicaCount: k8s.integer("replicaCount", 0),
    nodeSelector: k8s.has("nodeSelector") ? k8s.stringMap("nodeSelector") : undefined,
    env: entries("env"),
    resources: entry("resources"),
    tolerations: entries("tolerations"),
    affinity: entry("affinity"),
    podAnnotations: k8s.has("podAnnotations") ? k8s.stringMap("podAnnotations") : undefined,
    serviceAnnotations: k8s.has("serviceAnnotations") ? k8s.stringMap("serviceAnnotations") : undefined,
    service: entry("service"),
    strategy: entry("strategy"),
    hpaSpec: entry("hpaSpec"),
    podDisruptionBudget: entry("podDisruptionBudget"),
    imagePullPolicy: k8s.string("imagePullPolicy"),
    priorityClassName: k8s.string("priorityClassName"),
    readinessProbe: entry("readinessProbe"),
    securityContext: entry("securityContext"),
    volumes: entries("volumes"),
    volumeMounts: entries("volumeMounts"),
    overlays: k8s.has("overlays") ? k8s.list("overlays").map(parseOverlay) : undefined,
  });
  k8s.ignore("scaleTargetRef");
  k8s.unknownFields();
  return result;
}

function parseOverlay(overlay: Reader): Overlay {
  const patches = overlay.list("patches").map((patch) => {
    const path = patch.required("path", patch.string("path")) ?? "";
    patch.ignore("value");
    patch.unknownFields();
    return { path, value: (patch.raw as { value?: unknown }).value };
  });
  const result = definedFields({
    apiVersion: overlay.string("apiVersion"),
    kind: overlay.required("kind", overlay.string("kind")) ?? "",
    name: overlay.required("name", overlay.string("name")) ?? "",
    patches,
  });
  overlay.unknownFields();
  return result;
}
