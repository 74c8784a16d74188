export { podObstacle, type PodObstacle } from "./pod-obstacle.ts";
