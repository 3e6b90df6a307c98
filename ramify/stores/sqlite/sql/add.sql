-- add: rows and edges, all or nothing. Writes job, payload, edge, mark, lane.

--: job
INSERT INTO job (id, tree, parent, lane, priority, label, hold, step, state, waits, bads, due, fast, size, last,
    barrier, lasts, deadline)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

--: plain job
INSERT INTO job (id, tree, parent, lane, priority, step, state, waits, bads) VALUES (?, ?, ?, ?, ?, 'run', ?, ?, 0)

--: payload
INSERT INTO payload (job, args, policy, takes) VALUES (?, ?, ?, ?)

--: edge
INSERT INTO edge (after, place, before, kind, asks, slots, verdict) VALUES (?, ?, ?, ?, ?, ?, ?)

--: mark
INSERT INTO mark (mark, job) VALUES (?, ?)

--: lanes
SELECT id, queue, task, slot, units FROM lane WHERE id > ? ORDER BY id

--: lane
INSERT INTO lane (queue, task, slot, units) VALUES (?, ?, ?, ?)
