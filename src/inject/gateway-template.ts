import { canonicalLabels, commonAnnotations, proxyContainer, proxyVolumes, readinessProbe } from "./proxy-container.ts";
import { proxyUser, type InjectedPod, type TemplateInput } from "./template-input.ts";

/** The template `gateway`: a pod whose only container is `istio-proxy` with the image `auto`. */
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
            securityContext: { runAsUser: proxyUser, runAsGroup: proxyUser },
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
