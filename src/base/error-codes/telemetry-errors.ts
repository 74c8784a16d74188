import type { ErrorEntry } from "./error-entry.ts";

export const telemetryErrors = {
  "bad-query": {
    meaning: "A query is not valid.",
    remedy: "Correct the query.",
  },
  "series-ambiguous": {
    meaning: "Several series of a query have the same labels where one is needed.",
    remedy: "Aggregate, or match by more labels.",
  },
  "query-timeout": {
    meaning: "A query took too long.",
    remedy: "Select fewer series or a shorter time.",
  },
  "query-too-large": {
    meaning: "A query reads too many samples.",
    remedy: "Select fewer series or a shorter time.",
  },
  "prometheus-refused": {
    meaning: "Prometheus refused a query.",
    remedy: "Correct the query.",
  },
  "prometheus-unreachable": {
    meaning: "Prometheus does not answer.",
    remedy: "Check its address and its pods.",
  },
  "sample-limit": {
    meaning:
      "A target exposes more than the job's `sample_limit`, more than 50,000 samples or 500,000 lines, or a sample with more than 16,384 characters or 128 labels.",
    remedy:
      "Raise the job's `sample_limit`, drop metrics by its rules, or expose less. Rules reduce the number of samples, but not of lines, characters and labels.",
  },
  "scrape-failed": {
    meaning:
      "A target did not answer a scrape, its answer is longer than 64 MiB, or too many long answers were being read at once.",
    remedy: "Check the target's port and path. If the answer is too long, expose fewer metrics.",
  },
  "bad-metrics": {
    meaning: "A text is not in Prometheus' format, or lacks the expected metrics.",
    remedy: "Look at the target's answer.",
  },
  "dump-empty": {
    meaning: "The proxy does not have the requested configuration.",
    remedy: "Check that the proxy is connected to a control plane.",
  },
  "dump-invalid": {
    meaning: "A text is not a dump of a proxy's configuration.",
    remedy: "Pass the answer of a proxy's admin port.",
  },
  "admin-refused": {
    meaning: "The admin port of a proxy or control plane refused a request.",
    remedy: "Read the answer in the message.",
    silent: true,
  },
  "admin-unreachable": {
    meaning: "A port of a pod does not answer.",
    remedy: "Check that the pod runs, and look at its log.",
  },
  "pod-unreachable": {
    meaning: "A pod does not answer.",
    remedy: "Check that the pod runs.",
  },
  "pod-not-running": {
    meaning: "The pod does not run.",
    remedy: "Look at the pod's events.",
  },
  "pilot-unreachable": {
    meaning: "A control plane does not answer, or lacks the requested page.",
    remedy: "Look at istiod's pods and version.",
  },
  "proxy-missing": {
    meaning: "The pod has no proxy of the needed kind.",
    remedy: "Name another pod, or the command for ztunnels.",
  },
  "proxy-not-connected": {
    meaning: "The proxy is not connected to any control plane.",
    remedy: "Check the proxy's log, and its revision.",
  },
  "no-views": {
    meaning: "The state of the mesh could not be read in time.",
    remedy: "`kubectl get pods -A` shows whether the API server answers.",
  },
} as const satisfies Readonly<Record<string, ErrorEntry>>;
