// Explains why a pod does not become ready.
export { podObstacle, type PodObstacle } from "./pod-obstacle.ts";
export { refusedPods, type RefusedWorkload } from "./refused-pods.ts";
