// Explains why a pod does not become ready.
export { podObstacle, type PodObstacle } from "./pod-obstacle.ts";
