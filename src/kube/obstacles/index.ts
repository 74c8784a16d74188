// Explains why a pod does not become ready.
export { creationProblem, findPodObstacle } from "./pod-creation.ts";
export { crashLog, podObstacle, type PodObstacle } from "./pod-obstacle.ts";
export { refusedPods, type PodRefusal, type RefusedWorkload } from "./refused-pods.ts";
