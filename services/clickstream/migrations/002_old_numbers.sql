-- What is as old as the topic keeps is found by its window, in every look.

CREATE INDEX statistic_window ON statistic ("window");
