import type { SecurityContext } from "../api/kubernetes/index.ts";
import { restrictedContext } from "../api/pod-security/index.ts";
import { canonicalLabels, commonAnnotations, proxyContainer, proxyVolumes, readinessProbe } from "./proxy-container.ts";
import { proxyContainerName, proxyUser, type InjectedPod, type TemplateInput } from "./template-input.ts";

/** The template `gateway`, for a pod whose only container is `istio-proxy` with the image `auto`. */
export function gatewayTemplate(input: TemplateInput): InjectedPod {
  const { values } = input;
  const { readinessInitialDelaySeconds, readinessPeriodSeconds, readinessFailureThreshold, lifecycle } = values.proxy;
  return {
    labels: canonicalLabels(input),
    annotations: commonAnnotations(input),
    spec: {
      securityContext: values.gatewaySecurityContext ?? {
        sysctls: [{ name: "net.ipv4.ip_unprivileged_port_start", value: "0" }],
      },
      containers: [
        {
          ...proxyContainer(input, {
            type: "router",
            securityContext: gatewaySecurityContext(input),
          }),
          ...(lifecycle === undefined ? {} : { lifecycle: lifecycle }),
          readinessProbe: readinessProbe({
            initialDelaySeconds: readinessInitialDelaySeconds,
            periodSeconds: readinessPeriodSeconds,
            failureThreshold: readinessFailureThreshold,
          }),
        },
      ],
      volumes: proxyVolumes(input, "router"),
      ...(values.imagePullSecrets.length === 0
        ? {}
        : { imagePullSecrets: values.imagePullSecrets.map((name) => ({ name })) }),
    },
  };
}

/**
 * The security context with minimal rights. It omits `runAsNonRoot` for a container that explicitly runs as root,
 * because the kubelet would refuse that combination.
 */
function gatewaySecurityContext({ pod }: TemplateInput): SecurityContext {
  const own = pod.spec?.containers.find(({ name }) => name === proxyContainerName);
  const { runAsNonRoot: _nonRoot, ...others } = restrictedContext(proxyUser);
  return own?.securityContext?.runAsUser === 0 ? others : { ...others, runAsNonRoot: true };
}
