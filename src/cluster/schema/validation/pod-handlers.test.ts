import { test } from "node:test";
import { pod, refuses } from "./testing/refuses.ts";

test("a probe has exactly one handler", () => {
  refuses([
    [pod({}, { livenessProbe: {} }), ["spec.containers[0].livenessProbe: Required value: must specify a handler type"]],
    [
      pod({}, { livenessProbe: { tcpSocket: { port: 1 }, httpGet: { port: 1 } } }),
      ["spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type"],
    ],
    [
      pod({}, { livenessProbe: { exec: { command: [] } } }),
      ["spec.containers[0].livenessProbe.exec.command: Required value"],
    ],
  ]);
});

test("a probe's port is a number or the name of a port", () => {
  refuses([
    [
      pod({}, { livenessProbe: { tcpSocket: { port: 0 } } }),
      ["spec.containers[0].livenessProbe.tcpSocket.port: Invalid value: 0: must be between 1 and 65535, inclusive"],
    ],
    [
      pod({}, { livenessProbe: { tcpSocket: { port: "Web" } } }),
      [
        'spec.containers[0].livenessProbe.tcpSocket.port: Invalid value: "Web": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)',
      ],
    ],
    [pod({}, { livenessProbe: { tcpSocket: { port: "web" } } }), []],
    [
      pod({}, { livenessProbe: { grpc: { port: 0 } } }),
      ["spec.containers[0].livenessProbe.grpc.port: Invalid value: 0: must be between 1 and 65535, inclusive"],
    ],
    [pod({}, { livenessProbe: { grpc: { port: 5 } } }), []],
  ]);
});

test("a probe over HTTP has a known scheme and headers with names", () => {
  refuses([
    [
      pod({}, { livenessProbe: { httpGet: { port: 1, scheme: "ftp" } } }),
      ['spec.containers[0].livenessProbe.httpGet.scheme: Unsupported value: "ftp": supported values: "HTTP", "HTTPS"'],
    ],
    [
      pod(
        {},
        {
          livenessProbe: {
            httpGet: {
              port: 1,
              httpHeaders: [
                { name: "a b", value: "x" },
                { name: "", value: "" },
              ],
            },
          },
        },
      ),
      [
        "spec.containers[0].livenessProbe.httpGet.httpHeaders: Invalid value: \"\": a valid HTTP header must consist of alphanumeric characters or '-'",
        "spec.containers[0].livenessProbe.httpGet.httpHeaders: Invalid value: \"a b\": a valid HTTP header must consist of alphanumeric characters or '-'",
      ],
    ],
  ]);
});

test("a probe's counts are not negative, and liveness and start need exactly one success", () => {
  refuses([
    [
      pod(
        {},
        {
          livenessProbe: {
            tcpSocket: { port: 1 },
            initialDelaySeconds: -1,
            timeoutSeconds: -1,
            periodSeconds: -1,
            successThreshold: -1,
            failureThreshold: -1,
          },
        },
      ),
      [
        "spec.containers[0].livenessProbe.failureThreshold: Invalid value: -1: must be greater than or equal to 0",
        "spec.containers[0].livenessProbe.initialDelaySeconds: Invalid value: -1: must be greater than or equal to 0",
        "spec.containers[0].livenessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
        "spec.containers[0].livenessProbe.successThreshold: Invalid value: -1: must be 1",
        "spec.containers[0].livenessProbe.successThreshold: Invalid value: -1: must be greater than or equal to 0",
        "spec.containers[0].livenessProbe.timeoutSeconds: Invalid value: -1: must be greater than or equal to 0",
      ],
    ],
    [
      pod({}, { livenessProbe: { tcpSocket: { port: 1 }, successThreshold: 2 } }),
      ["spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1"],
    ],
    [
      pod({}, { startupProbe: { tcpSocket: { port: 1 }, successThreshold: 3 } }),
      ["spec.containers[0].startupProbe.successThreshold: Invalid value: 3: must be 1"],
    ],
  ]);
});

test("a probe's own grace period is positive, and a readiness probe has none, because it ends nobody", () => {
  refuses([
    [
      pod({}, { livenessProbe: { tcpSocket: { port: 1 }, terminationGracePeriodSeconds: 0 } }),
      ["spec.containers[0].livenessProbe.terminationGracePeriodSeconds: Invalid value: 0: must be greater than 0"],
    ],
    [pod({}, { livenessProbe: { tcpSocket: { port: 1 }, terminationGracePeriodSeconds: 5 } }), []],
    [
      pod({}, { readinessProbe: { tcpSocket: { port: 1 }, terminationGracePeriodSeconds: 5 } }),
      [
        "spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 5: must not be set for readinessProbes",
      ],
    ],
  ]);
});

test("a hook has one handler, and sleeps no longer than the grace period", () => {
  refuses([
    [
      pod({}, { lifecycle: { postStart: {}, preStop: { exec: { command: [] } } } }),
      [
        "spec.containers[0].lifecycle.postStart: Required value: must specify a handler type",
        "spec.containers[0].lifecycle.preStop.exec.command: Required value",
      ],
    ],
    [
      pod({}, { lifecycle: { preStop: { sleep: { seconds: 31 } }, postStart: { sleep: { seconds: -1 } } } }),
      [
        "spec.containers[0].lifecycle.postStart.sleep: Invalid value: -1: must be non-negative and less than terminationGracePeriodSeconds (30)",
        "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)",
      ],
    ],
    [
      pod({}, { lifecycle: { preStop: { exec: { command: ["a"] }, httpGet: { port: 1 } } } }),
      ["spec.containers[0].lifecycle.preStop.httpGet: Forbidden: may not specify more than 1 handler type"],
    ],
  ]);
});
