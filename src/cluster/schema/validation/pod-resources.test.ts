import { test } from "node:test";
import { pod, refuses } from "./testing/refuses.ts";

test("a container requests at most its limit, and no negative amounts", () => {
  refuses([
    [
      pod({}, { resources: { limits: { cpu: "-1" }, requests: { memory: "-1" } } }),
      [
        'spec.containers[0].resources.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0',
        'spec.containers[0].resources.requests[cpu]: Invalid value: "-1": must be greater than or equal to 0',
        'spec.containers[0].resources.requests[memory]: Invalid value: "-1": must be greater than or equal to 0',
      ],
    ],
    [
      pod({}, { resources: { limits: { cpu: "1" }, requests: { cpu: "2" } } }),
      ['spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1'],
    ],
  ]);
});

test("a resource of a container is standard, or has a domain", () => {
  refuses([
    [
      pod({}, { resources: { limits: { gold: "1" }, requests: { "example.com/x": "1" } } }),
      [
        "spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources",
        'spec.containers[0].resources.limits[gold]: Invalid value: "gold": must be a standard resource for containers',
        'spec.containers[0].resources.limits[gold]: Invalid value: "gold": must be a standard resource type or fully qualified',
        'spec.containers[0].resources.requests[gold]: Invalid value: "gold": must be a standard resource for containers',
        'spec.containers[0].resources.requests[gold]: Invalid value: "gold": must be a standard resource type or fully qualified',
      ],
    ],
    [
      pod({}, { resources: { requests: { pods: "1", storage: "1Gi", "ephemeral-storage": "1Gi" } } }),
      [
        'spec.containers[0].resources.requests[pods]: Invalid value: "pods": must be a standard resource for containers',
        'spec.containers[0].resources.requests[storage]: Invalid value: "storage": must be a standard resource for containers',
      ],
    ],
    [
      pod({}, { resources: { limits: { "kubernetes.io/x": "1", "requests.x/y": "1" } } }),
      [
        'spec.containers[0].resources.limits[requests.x/y]: Invalid value: "requests.x/y": doesn\'t follow extended resource name standard',
        'spec.containers[0].resources.requests[requests.x/y]: Invalid value: "requests.x/y": doesn\'t follow extended resource name standard',
      ],
    ],
  ]);
});

test("a resource with a domain is counted in whole pieces, and cannot be overcommitted", () => {
  refuses([
    [
      pod({}, { resources: { limits: { "example.com/x": "1500m" } } }),
      [
        'spec.containers[0].resources.limits[example.com/x]: Invalid value: "1500m": must be an integer',
        'spec.containers[0].resources.requests[example.com/x]: Invalid value: "1500m": must be an integer',
      ],
    ],
    [
      pod({}, { resources: { limits: { "example.com/x": "2" }, requests: { "example.com/x": "1" } } }),
      ['spec.containers[0].resources.requests: Invalid value: "1": must be equal to example.com/x limit of 2'],
    ],
    [
      pod({}, { resources: { requests: { "example.com/x": "1" } } }),
      ["spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources"],
    ],
  ]);
});

test("huge pages need processor time or memory too, and are whole pages", () => {
  refuses([
    [
      pod({}, { resources: { limits: { "hugepages-2Mi": "4Mi" } } }),
      ["spec.containers[0].resources: Forbidden: HugePages require cpu or memory"],
    ],
    [pod({}, { resources: { limits: { "hugepages-2Mi": "4Mi", cpu: "1" } } }), []],
    [
      pod({}, { resources: { limits: { "hugepages-2Mi": "4Mi", cpu: "1" }, requests: { "hugepages-2Mi": "2Mi" } } }),
      ['spec.containers[0].resources.requests: Invalid value: "2Mi": must be equal to hugepages-2Mi limit of 4Mi'],
    ],
  ]);
});

test("the resources of a whole pod are processor time, memory and huge pages, and enough for its containers", () => {
  refuses([
    [pod({ resources: { limits: { cpu: "1" } } }), []],
    [pod({ resources: { limits: { cpu: "2", memory: "1Gi" } } }, { resources: { requests: { cpu: "500m" } } }), []],
    [
      pod({ resources: { limits: { cpu: "1" }, requests: { cpu: "1" } } }, { resources: { requests: { cpu: "2" } } }),
      [
        'spec.resources.requests[cpu]: Invalid value: "1": must be greater than or equal to aggregate container requests of 2',
      ],
    ],
    [
      pod({ resources: { limits: { "ephemeral-storage": "1Gi", "example.com/x": "1" } } }),
      [
        'spec.resources.limits[ephemeral-storage]: Unsupported value: "ephemeral-storage": supported values: "cpu", "hugepages-", "memory"',
        'spec.resources.limits[example.com/x]: Unsupported value: "example.com/x": supported values: "cpu", "hugepages-", "memory"',
      ],
    ],
    [
      pod({ resources: { limits: { cpu: "1" } } }, { resources: { limits: { cpu: "2" } } }),
      [
        'spec.resources.containers[0][cpu].limits: Invalid value: "2": must be less than or equal to pod limits of 1',
        'spec.resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
      ],
    ],
  ]);
});

test("a resize may restart a container only for processor time and memory", () => {
  refuses([
    [
      pod(
        {},
        {
          resizePolicy: [
            { resourceName: "cpu", restartPolicy: "NotRequired" },
            { resourceName: "memory", restartPolicy: "RestartContainer" },
            { resourceName: "x", restartPolicy: "Y" },
          ],
        },
      ),
      [
        'spec.containers[0].resizePolicy: Unsupported value: "Y": supported values: "NotRequired", "RestartContainer"',
        'spec.containers[0].resizePolicy: Unsupported value: "x": supported values: "cpu", "memory"',
      ],
    ],
  ]);
});
