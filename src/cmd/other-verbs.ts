import type { OtherVerbs } from "../cli/index.ts";
import { clusterFlags } from "./cluster.ts";

/** The verbs of the command line that are roles, for completion. */
export const otherVerbs: OtherVerbs = {
  cluster: {
    flags: [],
    verbs: clusterFlags(),
  },
  release: {
    flags: [],
    verbs: {
      add: ["--name="],
      list: ["--name=", "--output="],
      build: ["--version=", "--overlay="],
      export: [],
    },
  },
  doctor: {
    flags: [
      "--json",
      "--kubernetes",
      "--kubeconfig=",
      "--context=",
      "--istioNamespace=",
      "--as=",
      "--as-uid=",
      "--as-group=",
      "--kubeclient-timeout=",
    ],
    verbs: {},
  },
};
