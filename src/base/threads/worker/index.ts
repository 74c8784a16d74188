/** What runs inside the threads. It has a door of its own, so that the processes that start threads do not load it. */
export { answerTasks } from "./answer-tasks.ts";
export { cutName, reviewedObject } from "./reviewed-object.ts";
