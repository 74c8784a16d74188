import type { Container } from "../api/kubernetes/index.ts";
import { podAnnotations } from "./annotations.ts";
import {
  annotationOr,
  canonicalLabels,
  commonAnnotations,
  proxyContainer,
  proxyResources,
  proxyVolumes,
} from "./proxy-container.ts";
import { applicationContainersOf, type InjectedPod, type TemplateInput } from "./template-input.ts";

const readinessPort = 15_020;
const readyPath = "/healthz/ready";
const certificateFolder = "/var/lib/istio/data";
const socketFolder = "/etc/istio/proxy";
const proxyVolume = "istio-envoy";
const socketVolume = "istio-xds";
const bootstrapVolume = "grpc-io-proxyless-bootstrap";
const bootstrapFolder = "/var/lib/grpc/data/";
const bootstrapFile = `${bootstrapFolder}bootstrap.json`;
const plainDiscoveryPort = 15_010;

/** The volumes that only a proxy needs. An agent without a proxy does not mount them. */
const trafficVolumes = new Set(["credential-socket", "istio-ca-crl"]);

/**
 * The template `grpc-agent`. It adds an agent without a proxy to applications whose gRPC library speaks xDS, and does
 * not redirect their traffic. It does not set the label `security.istio.io/tlsMode`, because only the application knows
 * whether its server accepts mutual TLS.
 */
export function grpcAgentTemplate(input: TemplateInput): InjectedPod {
  const { values, pod } = input;
  return {
    labels: canonicalLabels(input),
    annotations: { ...commonAnnotations(input), [podAnnotations.rewriteProbes]: "false" },
    spec: {
      containers: [agentContainer(input), ...applicationContainersOf(pod).map(({ name }) => applicationPart(name))],
      volumes: proxyVolumes(input, "sidecar")
        .filter(({ name }) => !trafficVolumes.has(name))
        .map((volume) => (volume.name === proxyVolume ? { ...volume, name: socketVolume } : volume)),
      ...(values.imagePullSecrets.length === 0
        ? {}
        : { imagePullSecrets: values.imagePullSecrets.map((name) => ({ name })) }),
    },
  };
}

function agentContainer(input: TemplateInput): Container {
  const { securityContext: _securityContext, ...base } = proxyContainer(input, {
    type: "sidecar",
    securityContext: {},
  });
  const url = `http://localhost:${readinessPort}${readyPath}`;
  return {
    ...base,
    ports: [{ containerPort: readinessPort, protocol: "TCP", name: "mesh-metrics" }],
    lifecycle: { postStart: { exec: { command: ["pilot-agent", "wait", `--url=${url}`] } } },
    env: [
      { name: "ISTIO_META_GENERATOR", value: "grpc" },
      { name: "OUTPUT_CERTS", value: certificateFolder },
      ...(base.env ?? []).filter(({ name }) => name !== "ISTIO_META_INTERCEPTION_MODE"),
      // Disable the agent's DNS server, because gRPC resolves xds:/// names itself.
      { name: "ISTIO_META_DNS_CAPTURE", value: "false" },
      { name: "DISABLE_ENVOY", value: "true" },
    ],
    volumeMounts: (base.volumeMounts ?? [])
      .filter(({ name }) => !trafficVolumes.has(name))
      .map((mount) => (mount.name === proxyVolume ? { ...mount, name: socketVolume } : mount)),
    resources: proxyResources(input),
    ...readiness(input),
  };
}

function readiness(input: TemplateInput): Pick<Container, "readinessProbe"> {
  const { proxy } = input.values;
  if (annotationOr(input, podAnnotations.statusPort, String(proxy.statusPort)) === "0") return {};
  const number = (name: string, fallback: number): number => Number(annotationOr(input, name, String(fallback)));
  return {
    readinessProbe: {
      httpGet: { path: readyPath, port: readinessPort },
      initialDelaySeconds: number(podAnnotations.readinessInitialDelaySeconds, proxy.readinessInitialDelaySeconds),
      periodSeconds: number(podAnnotations.readinessPeriodSeconds, proxy.readinessPeriodSeconds),
      timeoutSeconds: 3,
      failureThreshold: number(podAnnotations.readinessFailureThreshold, proxy.readinessFailureThreshold),
    },
  };
}

/** The fields to merge into each of the user's containers. There is no image, so that the user's own image stays. */
function applicationPart(name: string): Container {
  return {
    name,
    env: [
      { name: "GRPC_XDS_EXPERIMENTAL_SECURITY_SUPPORT", value: "true" },
      { name: "GRPC_XDS_BOOTSTRAP", value: `${socketFolder}/grpc-bootstrap.json` },
    ],
    volumeMounts: [
      { name: "istio-data", mountPath: certificateFolder },
      { name: socketVolume, mountPath: socketFolder },
      { name: "workload-certs", mountPath: "/var/run/secrets/workload-spiffe-credentials" },
    ],
  };
}

/**
 * The template `grpc-simple`. An application whose gRPC library speaks xDS connects to the control plane directly, in
 * plain text and without an identity. An init container writes gRPC's bootstrap file.
 */
export function grpcSimpleTemplate(input: TemplateInput): InjectedPod {
  const volumeMounts = [{ name: bootstrapVolume, mountPath: bootstrapFolder }];
  return {
    labels: {},
    annotations: { [podAnnotations.rewriteProbes]: "false" },
    spec: {
      initContainers: [bootstrapContainer(input, volumeMounts)],
      containers: applicationContainersOf(input.pod).map(({ name }) => ({
        name,
        env: [
          { name: "GRPC_XDS_BOOTSTRAP", value: bootstrapFile },
          { name: "GRPC_GO_LOG_VERBOSITY_LEVEL", value: "99" },
          { name: "GRPC_GO_LOG_SEVERITY_LEVEL", value: "info" },
        ],
        volumeMounts,
      })),
      volumes: [{ name: bootstrapVolume, emptyDir: {} }],
    },
  };
}

/**
 * The init container that writes the environment variable BOOTSTRAP to the bootstrap file. Kubernetes replaces
 * `$(NAME)` in its value with the value of the variable NAME, which must be defined earlier.
 */
function bootstrapContainer(
  { values, revision }: TemplateInput,
  volumeMounts: NonNullable<Container["volumeMounts"]>,
): Container {
  const field = (name: string, fieldPath: string): NonNullable<Container["env"]>[number] => ({
    name,
    valueFrom: { fieldRef: { fieldPath } },
  });
  const service = revision === "" || revision === "default" ? "istiod" : `istiod-${revision}`;
  const bootstrap = {
    xds_servers: [
      {
        server_uri: `dns:///${service}.${values.istioNamespace}.svc:${plainDiscoveryPort}`,
        channel_creds: [{ type: "insecure" }],
        server_features: ["xds_v3"],
      },
    ],
    node: {
      id: "sidecar~$(INSTANCE_IP)~$(POD_NAME).$(POD_NAMESPACE)~cluster.local",
      metadata: { GENERATOR: "grpc" },
    },
  };
  return {
    name: "grpc-bootstrap-init",
    image: "busybox:1.28",
    env: [
      field("INSTANCE_IP", "status.podIP"),
      field("POD_NAME", "metadata.name"),
      field("POD_NAMESPACE", "metadata.namespace"),
      { name: "BOOTSTRAP", value: JSON.stringify(bootstrap) },
    ],
    command: ["sh", "-c", `printf '%s' "$BOOTSTRAP" > ${bootstrapFile}`],
    volumeMounts,
  };
}
