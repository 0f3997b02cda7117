"""The `openstack image push` commands of glancecast-controller.

    openstack ... --> plugin (options, session) --> v1 (commands) --> api (requests, pages, errors) --> controller
                                                        +--> follow (events, polling) --> progress (standard error)
"""
