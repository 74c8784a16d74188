import { isTree } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { resourceSuffixOf, revisionLabelOf, type BanzaiIstio } from "../../api/banzai/index.ts";
import { renderPilot } from "../components/pilot.ts";
import { pilotIssues } from "../pilot-issues.ts";
import { banzaiSettings, type ReleaseImages } from "./banzai-settings.ts";

/** The objects of a control plane, with the names and labels that Banzai Cloud's operators use. */
export function renderBanzaiControlPlane(istio: BanzaiIstio, release: ReleaseImages): UntypedObject[] {
  const settings = banzaiSettings(istio, release);
  const names = namesOf(istio);
  return renderPilot(settings)
    .filter(
      ({ kind, metadata }) =>
        !(kind === "ConfigMap" && metadata.name?.startsWith("values")) && metadata.labels?.["app"] !== "istio-reader",
    )
    .map((object) => relabelled(renamed(withDnsPort(object), names), istio));
}

/** Describes settings of an Istio object with which its control plane would refuse to start. */
export function banzaiPilotIssues(istio: BanzaiIstio, release: ReleaseImages): readonly string[] {
  const settings = banzaiSettings(istio, release);
  return pilotIssues(renderPilot(settings), settings).map(({ message }) => message);
}

/** Adds the port for DNS over TLS, which a Service of upstream's istiod does not have. */
function withDnsPort(object: UntypedObject): UntypedObject {
  if (object.kind !== "Service" || !isTree(object["spec"])) return object;
  const { spec } = object;
  const ports = [
    ...(spec["ports"] as readonly unknown[]),
    { name: "dns-tls", port: 853, targetPort: 15_053, protocol: "TCP" },
  ];
  return { ...object, spec: { ...spec, ports } };
}

/** Banzai Cloud's name of an object, by `Kind/name` of the same object in Istio. */
type Names = ReadonlyMap<string, string>;

function namesOf(istio: BanzaiIstio): Names {
  const suffix = resourceSuffixOf(istio);
  const dashed = suffix === "" ? "" : `-${suffix}`;
  const namespace = istio.metadata.namespace ?? "";
  const clusterWide = suffix === "" ? "" : `-${suffix}-${namespace}`;
  const pilot = `istiod${dashed}`;
  const elsewhere = namespace === "istio-system" ? "" : `-${namespace}`;
  return new Map([
    [`ServiceAccount/${pilot}`, `istiod-service-account${dashed}`],
    [`HorizontalPodAutoscaler/${pilot}`, `istiod-autoscaler${dashed}`],
    [
      `MutatingWebhookConfiguration/istio-sidecar-injector${dashed}${elsewhere}`,
      `istio-sidecar-injector${clusterWide}`,
    ],
    [`ValidatingWebhookConfiguration/istio-validator${dashed}-${namespace}`, `istiod${clusterWide}`],
  ]);
}

function renamed(object: UntypedObject, names: Names): UntypedObject {
  const name = names.get(`${object.kind ?? ""}/${object.metadata.name ?? ""}`);
  const result = name === undefined ? object : { ...object, metadata: { ...object.metadata, name } };
  return withAccount(result, names);
}

/** Renames the ServiceAccount in role bindings and in the Deployment's pod template. */
function withAccount(object: UntypedObject, names: Names): UntypedObject {
  const account = (name: unknown): unknown => names.get(`ServiceAccount/${String(name)}`) ?? name;
  if (Array.isArray(object["subjects"]))
    return {
      ...object,
      subjects: object["subjects"].map((subject) =>
        isTree(subject) ? { ...subject, name: account(subject["name"]) } : (subject as unknown),
      ),
    };
  if (object.kind !== "Deployment" || !isTree(object["spec"])) return object;
  const { spec } = object as unknown as { spec: { template: { spec: { serviceAccountName: string } } } };
  const pod = spec.template.spec;
  return {
    ...object,
    spec: {
      ...spec,
      template: { ...spec.template, spec: { ...pod, serviceAccountName: account(pod.serviceAccountName) } },
    },
  };
}

function relabelled(object: UntypedObject, istio: BanzaiIstio): UntypedObject {
  const { app = "istiod" } = object.metadata.labels ?? {};
  return { ...object, metadata: { ...object.metadata, labels: { app, istio: "pilot", ...controlPlaneLabels(istio) } } };
}

/** The labels by which the operator finds the cluster-scoped objects of a control plane. */
export function controlPlaneLabels({ metadata }: Pick<BanzaiIstio, "metadata">): Record<string, string> {
  return {
    "istio.io/rev": revisionLabelOf({ name: metadata.name ?? "", namespace: metadata.namespace ?? "" }),
    "app.kubernetes.io/managed-by": "banzai-istio-operator",
  };
}
