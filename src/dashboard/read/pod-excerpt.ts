import { metadataExcerpt, type Excerpt } from "../../kube/index.ts";

const containers: Excerpt = {
  name: { number: 1, holds: "text" },
  image: { number: 2, holds: "text" },
  ports: {
    number: 6,
    repeated: true,
    holds: { name: { number: 1, holds: "text" }, hostPort: { number: 2, holds: "whole number" }, containerPort: { number: 3, holds: "whole number" }, protocol: { number: 4, holds: "text" }, hostIP: { number: 5, holds: "text" } },
  },
};

const statuses: Excerpt = {
  name: { number: 1, holds: "text" },
  state: {
    number: 2,
    holds: {
      waiting: { number: 1, holds: { reason: { number: 1, holds: "text" }, message: { number: 2, holds: "text" } } },
      running: { number: 2, holds: { startedAt: { number: 1, holds: "time" } } },
      terminated: {
        number: 3,
        holds: {
          exitCode: { number: 1, holds: "whole number" },
          signal: { number: 2, holds: "whole number" },
          reason: { number: 3, holds: "text" },
          message: { number: 4, holds: "text" },
          startedAt: { number: 5, holds: "time" },
          finishedAt: { number: 6, holds: "time" },
        },
      },
    },
  },
  ready: { number: 4, holds: "flag" },
  restartCount: { number: 5, holds: "whole number" },
};

/** All that `trimPod` keeps: of some thousands of pods the rest, which takes several times as much, is thrown away as it is read. */
export const podExcerpt: Excerpt = {
  metadata: { number: 1, holds: { ...metadataExcerpt, creationTimestamp: { number: 8, holds: "time" } } },
  spec: {
    number: 2,
    holds: {
      containers: { number: 2, holds: containers, repeated: true },
      serviceAccountName: { number: 8, holds: "text" },
      nodeName: { number: 10, holds: "text" },
      hostNetwork: { number: 11, holds: "flag" },
      initContainers: { number: 20, holds: containers, repeated: true },
    },
  },
  status: {
    number: 3,
    holds: {
      phase: { number: 1, holds: "text" },
      conditions: { number: 2, repeated: true, holds: { type: { number: 1, holds: "text" }, status: { number: 2, holds: "text" } } },
      reason: { number: 4, holds: "text" },
      podIP: { number: 6, holds: "text" },
      startTime: { number: 7, holds: "time" },
      containerStatuses: { number: 8, holds: statuses, repeated: true },
      initContainerStatuses: { number: 10, holds: statuses, repeated: true },
    },
  },
};
